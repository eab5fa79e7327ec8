package lab

import (
	"context"
	"errors"
	"fmt"
	"syscall"
)

// deafAddress is the link address of nobody: what is sent to it gets lost.
const deafAddress = "02:00:00:00:00:00"

// Cut loses all that the host sends to another one, in silence, as a broken
// switch does; what comes from there arrives. Connections that are open stay
// so until somebody gives up.
func (h *Host) Cut(ctx context.Context, to *Host) error {
	return h.inside("cut "+h.Name+" from "+to.Name, func() error {
		return ip(ctx, "neigh replace "+to.Address+" lladdr "+deafAddress+" nud permanent dev eth0")
	})
}

// Mend ends Cut. A host that was off meanwhile has nothing to mend.
func (h *Host) Mend(ctx context.Context, to *Host) error {
	return h.inside("mend "+h.Name+" to "+to.Name, func() error {
		// Replaced by what it finds out anew, since there may be nothing to delete.
		return ip(ctx, "neigh replace "+to.Address+" lladdr "+deafAddress+" nud stale dev eth0", "neigh del "+to.Address+" dev eth0")
	})
}

// Part cuts two hosts from each other, both ways.
func Part(ctx context.Context, a, b *Host) error {
	return errors.Join(a.Cut(ctx, b), b.Cut(ctx, a))
}

// Rejoin ends Part.
func Rejoin(ctx context.Context, a, b *Host) error {
	return errors.Join(a.Mend(ctx, b), b.Mend(ctx, a))
}

// inside runs fn in a host; one that is off has no network to be spoiled.
func (h *Host) inside(what string, fn func() error) error {
	if err := h.Do(fn); err != nil && !errors.Is(err, errGone) {
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// Freeze stops all processes of the host, as a hypervisor does that pauses a
// machine; its kernel goes on. It returns when none runs any more.
func (h *Host) Freeze(ctx context.Context) error {
	return Until(ctx, h.Name+" is frozen", func() error {
		all, err := h.Processes()
		if err != nil {
			return err
		}
		running := errors.New("a process runs")
		for pid := range all {
			switch state(pid) {
			case "T", "Z", "X", "": // stopped, or ended and not waited for yet
			default:
				err = running // and may be starting another
				_ = syscall.Kill(pid, syscall.SIGSTOP)
			}
		}
		return err
	})
}

// Thaw lets all processes of the host go on.
func (h *Host) Thaw() error {
	all, err := h.Processes()
	if errors.Is(err, errGone) {
		return nil // its power was cut meanwhile
	}
	if err != nil {
		return err
	}
	for pid := range all {
		_ = syscall.Kill(pid, syscall.SIGCONT) // it may have ended
	}
	return nil
}
