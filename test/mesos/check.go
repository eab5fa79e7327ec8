package mesos

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/google/uuid"
)

// Check runs a command health check of a task of a group: a DEBUG container,
// nested in the task's, which enters the task's mounts and passes through the
// module's commands each time. It returns what the command printed.
func (a *Agent) Check(ctx context.Context, r *Run, command string) (string, error) {
	l := a.current()
	if l == nil {
		return "", errKilled
	}
	of := r.at()
	if of.parent == nil {
		return "", errors.New("only tasks of a group are checked in a container of their own")
	}
	id := identity{agent: a.ID, framework: a.Framework}
	parent := of.id.container
	id.container = containerID{Parent: &parent, Value: "check-" + uuid.NewString()}
	id.directory = of.id.directory + "/containers/" + id.container.Value
	c := &container{agent: a, id: id, parent: of, config: debugConfig(id, of.parent.group.info, command)}

	info, err := c.prepare(l)
	if err != nil {
		return "", errors.Join(fmt.Errorf("Failed to launch container: %w", err), c.cleanup(l)) //nolint:staticcheck // as Mesos says it
	}
	if len(info.Mounts) > 0 {
		err := errors.New("Mounts are not supported if 'namespace_mnt_target' is set") //nolint:staticcheck // as Mesos says it
		return "", errors.Join(err, c.cleanup(l))
	}
	pid := of.proc().innerPid()
	if _, err := l.command(a, "isolate", a.config.Commands.Isolate, c, pid); err != nil {
		return "", errors.Join(err, c.cleanup(l))
	}
	cmd := a.host.Command(ctx, "nsenter", "--target", strconv.Itoa(pid), "--mount", "--",
		"sh", "-c", `cd "$1" && shift && exec sh -c "$1"`, "sh", of.id.directory, command)
	var out, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &stderr
	err = cmd.Run()
	if err != nil {
		err = fmt.Errorf("check: %w: %s", err, stderr.String())
	}
	return out.String(), errors.Join(err, c.cleanup(l))
}
