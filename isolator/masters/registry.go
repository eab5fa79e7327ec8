package masters

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// Registry is what Mesos keeps of agents that are not there, by their ids, and
// since when. It is the one place that tells an unreachable agent without tasks
// from one that an operator has marked gone.
type Registry struct {
	Unreachable map[string]time.Time
	Gone        map[string]time.Time
}

// Registry reads the registry. Access control may keep it from the caller, who
// then knows what the tasks tell.
func (c *Client) Registry(ctx context.Context) (Registry, error) {
	c.mu.Lock()
	base := c.leader
	c.mu.Unlock()
	if base == nil {
		return Registry{}, errors.New("read the registry of Mesos: no Mesos master leads")
	}
	// Another master would send nobody on, but answer with a registry of its own
	// that is empty.
	resp, err := c.once(ctx, base, http.MethodGet, "/registrar(1)/registry", "application/json", nil)
	if err != nil {
		return Registry{}, fmt.Errorf("read the registry of Mesos: %w", err)
	}
	if resp.StatusCode != http.StatusOK {
		return Registry{}, fmt.Errorf("read the registry of Mesos: %w", refused(base, resp))
	}
	defer resp.Body.Close()
	data, err := readAll(resp.Body, c.options.MaxAnswer)
	if err != nil {
		return Registry{}, fmt.Errorf("read the registry of Mesos: %w", err)
	}
	return parseRegistry(data)
}

// absentees is a list of the registry.
type absentees struct {
	Slaves []struct {
		ID struct {
			Value string `json:"value"`
		} `json:"id"`
		Timestamp struct {
			Nanoseconds int64 `json:"nanoseconds"`
		} `json:"timestamp"`
	} `json:"slaves"`
}

func parseRegistry(data []byte) (Registry, error) {
	var text struct {
		Master      *struct{} `json:"master"`
		Unreachable absentees `json:"unreachable"`
		Gone        absentees `json:"gone"`
	}
	if err := json.Unmarshal(data, &text); err != nil {
		return Registry{}, fmt.Errorf("read the registry of Mesos: %w", err)
	}
	if text.Master == nil {
		// A master that has just lost the lead answers {}, which says nothing.
		return Registry{}, errors.New("read the registry of Mesos: the master that answers does not lead")
	}
	return Registry{Unreachable: text.Unreachable.times(), Gone: text.Gone.times()}, nil
}

func (a absentees) times() map[string]time.Time {
	times := make(map[string]time.Time, len(a.Slaves))
	for _, s := range a.Slaves {
		var at time.Time
		if s.Timestamp.Nanoseconds > 0 {
			at = time.Unix(0, s.Timestamp.Nanoseconds).UTC()
		}
		times[s.ID.Value] = at
	}
	return times
}
