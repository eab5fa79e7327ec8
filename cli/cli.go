// Package cli has the commands for users: what is in the cluster, how it is, and
// what should become of it.
package cli

import (
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/flocker-mesos/flocker/api/client"
	"github.com/flocker-mesos/flocker/cli/output"
)

// Env is what the commands need of the program that they are part of, and of
// the world around it.
type Env struct {
	Version string
	// Locate says how the replicas of the control service that a text names are
	// called, on a port where it names none.
	Locate func(replicas string, port uint16) (client.Config, error)
	// AgentReplicas reads from a file of an agent's settings which replicas it
	// names, without the ports, which are those for agents. A file that does
	// not exist is an fs.ErrNotExist.
	AgentReplicas func(file string) (string, error)
	LookupEnv     func(name string) (string, bool)
	Now           func() time.Time
	Screen        func(io.Writer) output.Screen
}

// Commands returns the commands.
func Commands(env *Env) []*cobra.Command {
	return []*cobra.Command{
		newVolumes(env), newNodes(env), newLeases(env), newBackends(env), newMarathon(env), newTenancy(env), newQuotas(env), newStatus(env),
		newContext(env), newVersion(env),
	}
}

// Args rewrites a command line as it was understood when --wait needed a
// duration: `--wait 30s` is `--wait=30s`. A flag that can stand alone has its
// value behind an equals sign only.
func Args(args []string) []string {
	var out []string
	for i := 0; i < len(args); i++ {
		if args[i] == "--" {
			return append(out, args[i:]...)
		}
		if args[i] == "--wait" && i+1 < len(args) {
			if _, err := time.ParseDuration(strings.TrimSpace(args[i+1])); err == nil {
				out = append(out, "--wait="+args[i+1])
				i++
				continue
			}
		}
		out = append(out, args[i])
	}
	return out
}
