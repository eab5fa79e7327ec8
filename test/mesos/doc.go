// Package mesos plays a Mesos agent with the command isolator module and volume/csi, as far
// as a volume program sees it: which of its commands are called with what, in
// which order and how often, what becomes of its answer, and which calls get
// lost. It behaves as Mesos 1.12 with criteo's mesos-command-modules was seen
// to behave, not as one would wish:
//
//   - prepare, isolate and cleanup of all containers run strictly one after
//     another, and GET_CONTAINERS waits in the same line;
//   - an executor that has not registered in time is given up;
//   - a command task is reported as ended about a second before its cleanup;
//   - a failed cleanup is never tried again, and after a crash of the agent
//     most cleanups never come;
//   - the volume/csi isolator stages and publishes a volume for every container,
//     takes it down once, repeats no call that has failed, and after a restart of
//     the machine takes up what was published before it does anything else.
//
// The containers are real: processes in mount namespaces of their own on a
// host of package lab.
package mesos
