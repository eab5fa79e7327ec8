// Package cluster is the pure model of the control service: the State of a
// cluster, the Commands that change it, and the rules of the holder token. It
// does no I/O and has no clock; the time comes with the command. What a command
// decides depends on nothing but the state and the command, so it can be
// decided again on a newer state after a lost race.
//
// The invariants, which the tests check after every step:
//
//   - A dataset has at most one holder, with the dataset's epoch. Epochs only rise.
//   - Only the holder, or Delete of a dataset that nobody ever held, ends a tenure;
//     a node that has never run an agent may be passed over.
//   - Nobody waits for a dataset that nobody holds, and the holder does not wait.
//   - A registered volume never changes, except that it may grow.
//   - No two live datasets have the same name.
//   - A refused command changes nothing.
package cluster
