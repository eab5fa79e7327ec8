// Package lab makes several machines out of one, for tests and for the demo.
//
// A host has network, mount, process and name spaces of its own: its own root
// directory with the usual places (/etc/flocker, /run, /var/lib, /flocker), its
// own address on a switch with cables that can be cut, its own boot id, and
// its own process 1. All hosts share the machine's kernel, its programs
// (read-only) and one directory, the SAN. Nothing is changed outside the
// lab's directory: every interface and mount lives in a namespace made here.
//
// Nothing outlives the process that made a lab, not even after kill -9 of it:
// all processes of a host end with the host's process 1, which ends with the
// thread that made it. Loop devices and directories that such a death leaves
// behind are cleared away by the next New.
//
// A lab needs root, and iproute2 for its cables.
package lab
