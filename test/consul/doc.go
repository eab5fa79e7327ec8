// Package consul starts real Consul servers for tests, one or a cluster, on
// loopback addresses of their own, and does to them what happens to servers:
// they are killed, paused and started again.
//
// No server outlives the test, not even when the test is killed.
package consul
