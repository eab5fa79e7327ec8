package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"

	"github.com/flocker-mesos/flocker/test/lab"
)

// brokersApp is the app of examples/brokers.json.
const brokersApp = "/shop/brokers"

// brokers has Marathon, which the control service follows, deploy three instances of
// an app, scale it, and destroy it.
func (s *story) brokers(ctx context.Context) error {
	s.t.chapter("Marathon is followed: three brokers, each with a volume of its own")
	text, err := os.ReadFile("examples/brokers.json")
	if err != nil {
		return err
	}
	if err := s.ask(http.MethodPut, json.RawMessage(text), "%s", "PUT examples/brokers.json: 3 instances, flocker.volume.log.each = true"); err != nil {
		return err
	}
	first, err := s.running(ctx, 3)
	if err != nil {
		return err
	}
	s.t.check("", len(first) == 3, "%d brokers, and no two have one volume", len(first))
	if err := s.apps(ctx); err != nil {
		return err
	}

	if err := s.scale(2); err != nil {
		return err
	}
	fewer, err := s.running(ctx, 2)
	if err != nil {
		return err
	}
	var gone string
	for id := range first {
		if fewer[id] == 0 {
			gone = id
		}
	}
	if err := s.scale(3); err != nil {
		return err
	}
	again, err := s.running(ctx, 3)
	if err != nil {
		return err
	}
	s.t.check("", again[gone] == 2, "broker %.8s is back, with the volume that was kept for it: it has %d records", gone, again[gone])

	if err := s.ask(http.MethodDelete, nil, "DELETE %s", brokersApp); err != nil {
		return err
	}
	if err := lab.Until(ctx, "the app is gone", func() error {
		if tasks := s.marathon.Tasks(brokersApp); len(tasks) > 0 {
			return fmt.Errorf("there is %+v", tasks)
		}
		return nil
	}); err != nil {
		return err
	}
	kept, err := s.c.Control.Flocker(ctx, "volumes", "list", "--set", "brokers", "-o", "name")
	if err != nil {
		return err
	}
	names := strings.Fields(kept)
	s.t.check("", slices.Equal(names, []string{"brokers.0", "brokers.1", "brokers.2"}), "the app is destroyed, and its volumes are kept: %s", strings.Join(names, ", "))
	return nil
}

func (s *story) scale(instances int) error {
	return s.ask(http.MethodPut, map[string]int{"instances": instances}, "PUT {\"instances\": %d}", instances)
}

// ask has Marathon do something about the app.
func (s *story) ask(method string, body any, format string, args ...any) error {
	s.t.event("Marathon", format, args...)
	if status, answer := s.marathon.Do(method, "/v2/apps"+brokersApp+"?force=true", body); status >= http.StatusMultipleChoices {
		return fmt.Errorf("%s of Marathon: got %d %s", method, status, answer)
	}
	return nil
}

// running waits until as many brokers run as there should be, and no others, and
// returns how many records each has found by its id, which is on its volume.
func (s *story) running(ctx context.Context, instances int) (map[string]int, error) {
	var records map[string]int
	err := lab.Until(ctx, fmt.Sprintf("%d brokers run", instances), func() error {
		tasks := s.marathon.Tasks(brokersApp)
		records = map[string]int{}
		for _, task := range tasks {
			var id string
			var n int
			r := s.marathon.Run(task.ID)
			if r == nil || !r.Printed("ready") {
				return fmt.Errorf("%s is not ready", task.ID)
			}
			if _, err := fmt.Sscanf(r.Stdout(), "broker %s has %d records", &id, &n); err != nil {
				return fmt.Errorf("%s says %q: %w", task.ID, r.Stdout(), err)
			}
			records[id] = n
		}
		if len(tasks) != instances {
			return fmt.Errorf("there are %d", len(tasks))
		}
		return nil
	})
	return records, err
}

// apps shows what the control service says of Marathon's apps, once it has heard of
// all that runs.
func (s *story) apps(ctx context.Context) error {
	var table string
	if err := lab.Until(ctx, "all brokers are known to run", func() (err error) {
		table, err = s.c.Control.Flocker(ctx, "marathon", "apps", brokersApp)
		if err == nil && strings.Count(table, "running") < 3 {
			err = fmt.Errorf("it shows\n%s", table)
		}
		return err
	}); err != nil {
		return err
	}
	s.t.event("control", "flocker marathon apps")
	s.t.says("control", table)
	return nil
}
