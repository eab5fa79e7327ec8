// Package api is the language that all parts of Flocker speak: identifiers,
// errors, volume requests, and the messages between the control service, the
// agents, the Mesos isolator and the users. It does no I/O and imports nothing
// of the project.
//
// Times are UTC. Sizes are bytes. Identifiers are lower-case UUID texts.
package api
