// Package master plays the masters of a Mesos cluster, as far as somebody sees
// of them who asks for agents and tasks: the operator API in protobuf, the
// stream of events, the registry, and how one comes from a master to the one
// that leads. What it does and leaves out is as recorded from real masters: an
// agent that is unreachable or gone is missing from the listing without a word,
// and shows in its tasks alone.
package master
