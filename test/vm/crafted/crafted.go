// Package crafted says which damaged and hostile file systems are tried in a
// machine, and what came of each. It is what the test and its guest share.
package crafted

// Patch is bytes that a device has otherwise than its base image.
type Patch struct {
	At   int64  `json:"at"`
	Data []byte `json:"data"`
}

// Trial is one file system to try.
type Trial struct {
	Name    string  `json:"name"`
	Base    string  `json:"base"` // file name of the image that is patched
	FS      string  `json:"fs"`   // what the dataset's record says
	Patches []Patch `json:"patches,omitempty"`
}

// Outcome is what came of a trial.
type Outcome string

// The outcomes.
const (
	Refused Outcome = "refused" // neither checked nor mounted
	Failed  Outcome = "failed"  // the check or the mount failed
	Mounted Outcome = "mounted"
	Hung    Outcome = "hung"
)

// Result is a line of the report.
type Result struct {
	Trial   string  `json:"trial"`
	Begun   bool    `json:"begun,omitempty"` // the line from before the trial
	Outcome Outcome `json:"outcome,omitempty"`
	Said    string  `json:"said,omitempty"`     // the agent's error
	Trouble string  `json:"trouble,omitempty"`  // the first error of the file system in use
	Options string  `json:"options,omitempty"`  // as /proc/mounts has them
	Taint   int     `json:"taint,omitempty"`    // of the kernel, afterwards
	Journal string  `json:"journal,omitempty"`  // checksum of the disk with another file system's journal
	MS      int64   `json:"ms,omitempty"`       // how long it took
	Memory  int64   `json:"child_kb,omitempty"` // largest resident size of any child so far
}
