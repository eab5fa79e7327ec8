// Package watch looks at what the storage and the log of a running cluster
// really show, without asking Flocker, and finds what must never be: a volume
// that two machines have, a volume with a machine that does not hold it, a
// record that goes back.
//
// It reports nothing that may be an artefact of looking at two things one after
// the other. What lasts shorter than a look may escape it, except for the
// places of images, whose every move it is told of.
package watch
