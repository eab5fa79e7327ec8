// Package control is the control service: it keeps what is wanted of all
// datasets in the log, tells the agents what concerns them, and answers users.
//
// A command (control/cluster) goes through the Replica: its one writer decides
// all commands that have come in meanwhile on the newest state, commits what
// changes as one batch, shares the new state with the readers, wakes the
// streams of the nodes that are concerned, and answers. Readers never wait for
// the writer.
//
//	rest*.go ──┐                       ┌─► store.Log
//	           ├─► Replica.Do ─► writer┤
//	agents*.go ┘                       └─► State ─► readers, streams
package control
