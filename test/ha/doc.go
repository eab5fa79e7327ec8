// Package ha tests a cluster of several control services over several Consul
// servers, while parts of it are taken away: real processes on machines of
// package lab. Longer stories under many faults at once are test/chaos.
package ha
