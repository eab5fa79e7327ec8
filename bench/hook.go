package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// benchHook measures the whole process of prepare, as Mesos starts it, for an
// app without labels and for one whose volume is mounted.
func benchHook(s settings) ([]result, error) {
	program, err := filepath.Abs(filepath.Join(s.bin, "flocker-isolator"))
	if err != nil {
		return nil, err
	}
	prepare := filepath.Join(s.dir, "flocker-isolator-prepare")
	if err := os.Symlink(program, prepare); err != nil {
		return nil, err
	}
	m, err := newMachine(s.dir, workers)
	if err != nil {
		return nil, err
	}
	plain, err := hookFiles(s.dir, "plain", nil)
	if err != nil {
		return nil, err
	}
	labelled, err := hookFiles(s.dir, "labelled", map[string]string{
		"flocker.volume.data": "data", "flocker.volume.data.name": "v0", "flocker.volume.data.size": "64MiB",
	})
	if err != nil {
		return nil, err
	}
	call := func(files []string) func() error {
		return func() error {
			cmd := exec.Command(prepare, files...)
			cmd.Env = append(os.Environ(), "FLOCKER_AGENT_SOCKET="+m.config.Socket)
			if err := cmd.Run(); err != nil {
				why, _ := os.ReadFile(files[2])
				return fmt.Errorf("prepare: %w: %s", err, why)
			}
			return nil
		}
	}
	if err := fill(m, 0, 1); err != nil {
		return nil, err
	}
	var nothing, mounted, floor series
	for range 5 * s.rounds {
		if err := timed(&floor, exec.Command("/bin/true").Run); err != nil {
			return nil, err
		}
		if err := timed(&nothing, call(plain)); err != nil {
			return nil, err
		}
		if err := timed(&mounted, call(labelled)); err != nil {
			return nil, err
		}
	}
	if err := m.releaseAll(); err != nil {
		return nil, err
	}
	return []result{
		ratio("", "prepare, app without labels / process of /bin/true", 0, nothing, floor),
		ratio("", "prepare, mounted volume / process of /bin/true", 0, mounted, floor),
	}, m.close()
}

// hookFiles writes the input of a hook and makes its output and error files.
func hookFiles(dir, name string, labels map[string]string) ([]string, error) {
	type label struct {
		Key   string `json:"key"`
		Value string `json:"value"`
	}
	var list []label
	for k, v := range labels {
		list = append(list, label{k, v})
	}
	input, err := json.Marshal(map[string]any{
		"container_id": map[string]string{"value": "bench-" + name},
		"container_config": map[string]any{
			"directory":    filepath.Join(dir, "sandbox"),
			"command_info": map[string]any{"shell": true, "value": "true"},
			"task_info": map[string]any{
				"name": name, "task_id": map[string]string{"value": name}, "labels": map[string]any{"labels": list},
			},
		},
	})
	if err != nil {
		return nil, err
	}
	files := []string{filepath.Join(dir, name+".in"), filepath.Join(dir, name+".out"), filepath.Join(dir, name+".err")}
	for i, data := range [][]byte{input, nil, nil} {
		if err := os.WriteFile(files[i], data, 0o600); err != nil {
			return nil, err
		}
	}
	return files, os.MkdirAll(filepath.Join(dir, "sandbox"), 0o700)
}
