package mesos

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"

	spec "github.com/container-storage-interface/spec/lib/go/csi"
)

// csiState is what Mesos remembers of a volume, also when the machine is
// started again: volume.state.
type csiState struct {
	Volume CSIVolume `json:"volume"`
	State  string    `json:"state"`
	Boot   string    `json:"boot_id"`
	// PublishRequired has a published volume published again by the next agent.
	PublishRequired bool `json:"node_publish_required"`
}

// The states, as Mesos calls them. Those that are a call's name are set before
// the call.
const (
	csiNodeReady     = "NODE_READY"
	csiNodeStage     = "NODE_STAGE"
	csiNodePublish   = "NODE_PUBLISH"
	csiPublished     = "PUBLISHED"
	csiNodeUnpublish = "NODE_UNPUBLISH"
	csiNodeUnstage   = "NODE_UNSTAGE"
)

func (v CSIVolume) capability() (*spec.VolumeCapability, error) {
	mode, ok := spec.VolumeCapability_AccessMode_Mode_value[v.AccessMode]
	if !ok {
		return nil, fmt.Errorf("Mesos knows no access mode '%s'", v.AccessMode) //nolint:staticcheck // the name of a program
	}
	c := &spec.VolumeCapability{AccessMode: &spec.VolumeCapability_AccessMode{Mode: spec.VolumeCapability_AccessMode_Mode(mode)}}
	if v.Block {
		c.AccessType = &spec.VolumeCapability_Block{Block: new(spec.VolumeCapability_BlockVolume)}
	} else {
		c.AccessType = &spec.VolumeCapability_Mount{Mount: &spec.VolumeCapability_MountVolume{FsType: v.FSType, MountFlags: v.MountFlags}}
	}
	return c, nil
}

func (p *csiPlugin) volumes() string { return p.agent.host.Path(path.Join(p.root(), "volumes")) }

func (p *csiPlugin) file(volume string) string {
	return filepath.Join(p.volumes(), encodeVolume(volume), "volume.state")
}

// save writes a state down, unless the agent is dead by now.
func (p *csiPlugin) save(s *csiState, state string) error {
	if p.life.isKilled() {
		return errKilled
	}
	s.State, s.Boot = state, p.agent.host.BootID()
	return writeJSON(p.file(s.Volume.ID), s)
}

// load returns the state of a volume, nil where there is none.
func (p *csiPlugin) load(volume string) (*csiState, error) {
	s := new(csiState)
	err := readJSON(p.file(volume), s)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return s, err
}

func (p *csiPlugin) forget(volume string) error { return os.RemoveAll(filepath.Dir(p.file(volume))) }

// all returns the states of all volumes.
func (p *csiPlugin) all() ([]*csiState, error) {
	files, err := filepath.Glob(filepath.Join(p.volumes(), "*", "volume.state"))
	if err != nil {
		return nil, err
	}
	states := make([]*csiState, len(files))
	for i, file := range files {
		states[i] = new(csiState)
		if err := readJSON(file, states[i]); err != nil {
			return nil, err
		}
	}
	return states, nil
}

func writeJSON(path string, v any) error {
	data, err := json.Marshal(v)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}

func readJSON(path string, v any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	return json.Unmarshal(data, v)
}
