// Package reconcile finds out which containers Mesos still runs, because Mesos
// forgets to tell when one has ended: its command isolator is not called again
// after the Mesos agent was killed during a launch, after a reboot, for
// frameworks without checkpoints, nor after a cleanup that failed.
//
// It is called by the Flocker agent, never by a call of the isolator itself:
// Mesos does not list its containers while such a call runs.
package reconcile
