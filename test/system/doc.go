// Package system holds the tests of the whole: the real programs, built with
// the race detector and the fault points, on machines of package lab, under a
// played Mesos. Every test ends with a look for what may be left: loop devices,
// mounts, attached images, consumers, files, complaints in logs.
package system
