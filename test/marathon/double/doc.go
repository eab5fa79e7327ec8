// Package double speaks Marathon's REST and its stream of events, as its
// documentation and sources have them, and carries out deployments in Marathon's
// order of starting and stopping. It launches tasks on hosts that are only names,
// until a test has them launched by something real, such as test/mesos.
//
// What it can be made to do wrong is what the real one does: change its leader,
// have none, cut off who reads events slowly, lose and repeat events, answer 503,
// lose its records.
package double
