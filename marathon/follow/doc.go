// Package follow keeps the cluster ahead of what Marathon does. One replica of the
// control service at a time reads Marathon's apps and pods, at every event that
// may concern them and now and then, and from them has datasets made known before
// the containers need them, gives agents a head start where an instance was
// staged, and has the volumes of destroyed apps reclaimed where their labels want
// that.
//
// What to do is decided by functions without I/O, in decide.go. What Marathon says
// never gives a volume to anybody, and that it says nothing never takes one away:
// while it is down, nothing changes.
package follow
