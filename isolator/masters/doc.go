// Package masters asks the masters of Mesos which of their agents are
// registered, unreachable or gone, and which tasks those have.
//
// What it finds is evidence for people, who see it beside what Flocker knows
// itself. It fences nothing: "unreachable" is Mesos' word for a machine that it
// cannot hear, whose containers may be running and writing.
//
// mesos-go gives the messages and their protobuf codec. The conversation is our
// own, because mesos-go's client bounds a frame of a stream at 4 MiB, which the
// first one of a cluster of some hundred agents exceeds, and does not follow the
// leading master.
package masters
