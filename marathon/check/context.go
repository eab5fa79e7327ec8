package check

import "time"

// Context is what is known of the world around the definitions. What is not known
// is not judged.
type Context struct {
	// Datasets are those that exist, by name; nil says that nobody was asked.
	Datasets map[string]Dataset
	// Running are the apps and pods that Marathon runs.
	Running []*Definition
	// Features are Marathon's, nil where they are not known.
	Features []string
	// Unfollowed says that no control service follows Marathon.
	Unfollowed bool
	Timeouts   Timeouts
}

// Dataset is one that exists.
type Dataset struct {
	Size int64  // bytes
	FS   string // "" where it is not known
	Zone string // "" where it can be attached in all of them, or that is not known
}

// Timeouts are what ends a launch that takes long, 0 where one is not known.
type Timeouts struct {
	TaskLaunch           time.Duration // Marathon's --task_launch_timeout
	ExecutorRegistration time.Duration // the Mesos agents' --executor_registration_timeout
	Wait                 time.Duration // the Flocker agents' wait-limit
}
