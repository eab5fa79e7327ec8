//go:build !faults

// Package fault lets a test stop a process at an exact instruction. In normal
// builds a Point does nothing and costs nothing. Built with the tag faults, the
// environment variable FLOCKER_FAULT=NAME[#N][:ACTION] makes the Nth (default:
// first) pass through point NAME kill the process as kill -9 does (action
// kill, the default), stop it until it is continued (stop), or fail (see Err).
//
// The action delay=DURATION[,PROBABILITY] makes the process wait there, at the
// Nth pass and all later ones, as on a slow disk; the name * is every point.
//
// FLOCKER_CLOCK_FILE names a file with an offset by which Now is wrong.
package fault

// Point marks an instruction after which a crash must be survived.
func Point(string) {}

// Err returns nil; built for tests it returns an error where FLOCKER_FAULT
// names this point with the action "error".
func Err(string) error { return nil }
