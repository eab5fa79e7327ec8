// Command bench measures Flocker against what this machine can do at its best.
//
// Absolute times say little: they belong to one machine on one day. So every
// figure is a ratio of two medians, of our way and of a floor that does the
// same with nothing around it, taken in turns in one run so that other load
// falls on both alike. The number of loop devices is fixed at the start and
// printed, because idle ones slow whatever scans them.
//
// Run it as root: make bench.
package main
