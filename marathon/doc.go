// Package marathon knows what Marathon's apps and pods mean for volumes: which
// volumes they ask for, and in which form. What it does about that is in its
// rooms: marathon/check finds settings that would lose, lock up or delay a
// volume; marathon/client speaks with Marathon; marathon/follow keeps the
// cluster ahead of what Marathon does.
package marathon
