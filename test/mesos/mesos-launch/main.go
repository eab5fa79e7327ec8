// mesos-launch stands in for mesos-containerizer in a played Mesos agent.
package main

import (
	"os"

	"github.com/flocker-mesos/flocker/test/mesos/launch"
)

func main() { os.Exit(launch.Main()) }
