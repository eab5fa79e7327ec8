// Package double answers and tells as Marathon does: its tests replay the stories of
// test/marathon/recording, and compare status, headers, bodies and the order of events
// with those of the real one. It carries out deployments in Marathon's order of starting
// and stopping, and launches tasks on hosts that are only names, until a test has them
// launched by something real, such as test/mesos.
//
// What it can be made to do wrong is what the real one does: change its leader, have
// none or a dead one, cut off a reader that is too slow, lose and repeat events, answer
// 503, lose its records. It knows neither readiness checks nor reservations.
package double
