// Package isolator is what Mesos starts: the commands of its command isolator
// module (prepare, isolate, cleanup), the command that mounts volumes in a
// container's launch process, a dvdcli for Mesos' docker/volume isolator, and a
// doctor that finds out why none of it works.
//
// Mesos calls prepare, isolate and cleanup of all containers of an agent one
// after another, so none of them waits for a volume: prepare hands the request
// to the Flocker agent and answers at once with a command that waits inside the
// container's own launch process and mounts the volumes there. The program is
// started for every container, which is why this package imports neither
// net/http nor a command line framework, nor even net.
package isolator
