package api

import "time"

// Trim is the last time that a user asked to have a dataset's volume trimmed: its free
// blocks given back to the storage.
type Trim struct {
	Number uint64    `json:"number"` // rises with each request
	Asked  time.Time `json:"asked"`
}

// TrimState is how the last trim of a volume went.
type TrimState struct {
	Number uint64        `json:"number,omitempty"` // of the request that it answers, 0 for one by the clock
	At     time.Time     `json:"at"`
	Took   time.Duration `json:"took"`            // nanoseconds
	Bytes  int64         `json:"bytes"`           // that were free and are discarded
	Error  string        `json:"error,omitempty"` // why it came to no end
}

// TrimLimit is how long an agent heeds a request to trim.
const TrimLimit = time.Hour
