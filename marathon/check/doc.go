// Package check finds what in apps and pods of Marathon's would lose a volume,
// lock it up or delay it, says why in plain words, and mends it where there is
// one right answer. It is pure: what it needs to know of the world is given to it.
package check
