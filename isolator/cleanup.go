package isolator

import "context"

// Cleanup tells the agent that a container has ended, if it can have had
// volumes. Mesos calls it after a failed prepare too, with the same config.
func (h *Hook) Cleanup(ctx context.Context, in *Input) error {
	// A demand that is refused now may have been accepted by the version of
	// this program that was called for prepare.
	demand, err := in.Demand()
	if err == nil && len(demand.Volumes) == 0 && !demand.AskMesos {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, releaseTimeout)
	defer cancel()
	return h.client().Release(ctx, in.ContainerID.String())
}
