package api

import "time"

// VolumeWay is how a volume came to be ready for a container that asked for it.
type VolumeWay string

// The ways. Where several fit, the first counts.
const (
	WayFence  VolumeWay = "fence"  // its node was lost, and was kept from it first
	WayCreate VolumeWay = "create" // it was made, or formatted
	WayMove   VolumeWay = "move"   // another node had it, and gave it up
	WayAttach VolumeWay = "attach" // nobody had it
	WayHere   VolumeWay = "here"   // it was attached already
)

// VolumeWays are all of them, the quickest first.
func VolumeWays() []VolumeWay {
	return []VolumeWay{WayHere, WayAttach, WayCreate, WayMove, WayFence}
}

// sizeClasses are the largest sizes, in bytes, of volumes whose times are counted
// together. Larger ones are a class of their own.
var sizeClasses = []int64{1 << 30, 10 << 30, 100 << 30, 1 << 40}

// SizeClass returns the largest size of the volumes whose times are counted
// together with those of this one, 0 for the class of the largest.
func SizeClass(size int64) int64 {
	for _, class := range sizeClasses {
		if size <= class {
			return class
		}
	}
	return 0
}

// VolumeTimes is how long volumes took on a node from when they were asked for
// until they were ready, by their way and size. What is said of most of them is
// rounded up by half at the most; Max is exact.
type VolumeTimes struct {
	Way   VolumeWay     `json:"way"`
	UpTo  int64         `json:"up_to"` // the largest of their sizes in bytes, 0 for larger than all others
	Count uint64        `json:"count"`
	P50   time.Duration `json:"p50"` // in nanoseconds, as all that follow
	P99   time.Duration `json:"p99"`
	P999  time.Duration `json:"p999"`
	Max   time.Duration `json:"max"`
	// GaveUp counts the containers that ended before their volumes were ready,
	// after they had waited as long as they may.
	GaveUp uint64 `json:"gave_up,omitempty"`
}
