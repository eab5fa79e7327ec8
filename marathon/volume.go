package marathon

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/flocker-mesos/flocker/api"
)

// Form is how an app asks for a volume.
type Form string

// The forms.
const (
	FormLabels Form = "labels" // of the app, the pod or a pod's container; or its environment
	FormDVDI   Form = "dvdi"   // an external volume, by dvdcli
	FormCSI    Form = "csi"    // an external volume, by a CSI plugin
)

// Volume is one that an app or a pod asks of Flocker.
type Volume struct {
	api.VolumeRequest

	Form Form
	At   string // where in the definition: labels, containers[0].labels, container.volumes[1]
	// RunsAs is the user of the container, "" for the framework's.
	RunsAs string
}

// Drivers and plugins by which external volumes are ours.
const (
	DVDIDriver = "flocker"
	CSIPlugin  = "csi.flocker.mesos"
)

// Sizes beyond an exbibyte are nobody's.
const (
	gib    = 1 << 30
	maxGiB = 1 << 30
)

// Volumes returns the volumes that an app asks of Flocker. Mistakes in its labels
// are an api.Mistakes; the volumes of the other forms are returned all the same.
func (a *App) Volumes() ([]Volume, error) {
	requests, _, err := api.ParseVolumes(a.ID, labelsOf(a.Labels), variablesOf(a.Env))
	volumes := named(requests, "labels", a.User)
	if a.Container == nil {
		return volumes, err
	}
	for i, v := range a.Container.Volumes {
		if v.External == nil {
			continue
		}
		if external, ours := v.external(); ours {
			external.At, external.RunsAs = fmt.Sprintf("container.volumes[%d]", i), a.User
			volumes = append(volumes, external)
		}
	}
	return volumes, err
}

// Volumes returns the volumes that a pod asks of Flocker; pods have no external
// ones. The labels of the pod go to all of its containers.
func (p *Pod) Volumes() ([]Volume, error) {
	requests, _, err := api.ParseVolumes(p.ID, labelsOf(p.Labels), variablesOf(p.Environment))
	volumes := named(requests, "labels", p.User)
	if err != nil {
		return volumes, err
	}
	for i, c := range p.Containers {
		requests, _, err := api.ParseVolumes(p.ID, labelsOf(c.Labels), variablesOf(c.Environment))
		if err != nil {
			return volumes, err
		}
		volumes = append(volumes, named(requests, fmt.Sprintf("containers[%d].labels", i), cmp.Or(c.User, p.User))...)
	}
	return volumes, nil
}

func named(requests []api.VolumeRequest, at, runsAs string) []Volume {
	volumes := make([]Volume, len(requests))
	for i, r := range requests {
		volumes[i] = Volume{VolumeRequest: r, Form: FormLabels, At: at, RunsAs: runsAs}
	}
	return volumes
}

// external returns what an external volume asks for, if it is ours.
func (v ContainerVolume) external() (Volume, bool) {
	e := v.External
	var volume Volume
	switch {
	case e.Provider == "dvdi" && e.text("dvdi/driver") == DVDIDriver:
		volume = Volume{Form: FormDVDI, VolumeRequest: e.dvdi()}
	case e.Provider == "csi" && e.text("pluginName") == CSIPlugin:
		volume = Volume{Form: FormCSI, VolumeRequest: e.csi()}
	default:
		return Volume{}, false
	}
	volume.Key, volume.Name, volume.Path, volume.ReadOnly = e.Name, e.Name, v.ContainerPath, strings.EqualFold(v.Mode, "RO")
	return volume, true
}

// dvdi returns what dvdcli is asked for, by the options that Marathon passes on. What
// dvdcli refuses is left out.
func (e *External) dvdi() api.VolumeRequest {
	var asked api.VolumeRequest
	var options []string
	for _, key := range inOrder(maps.Keys(e.Options)) {
		name, ours := strings.CutPrefix(key, "dvdi/")
		if !ours || name == "driver" || name == "size" && e.Size != nil {
			continue
		}
		with := append(slices.Clone(options), name+"="+e.text(key))
		if request, _, err := api.ParseDVDOptions(key, e.Name, with); err == nil {
			asked, options = request, with
		}
	}
	if e.Size != nil && *e.Size > 0 && *e.Size <= maxGiB {
		asked.Size = *e.Size * gib
	}
	return asked
}

// csi returns what a CSI plugin is asked for. What it refuses is left out.
func (e *External) csi() api.VolumeRequest {
	capability, _ := e.Options["capability"].(map[string]any)
	fs, _ := capability["fsType"].(string)
	asked, err := api.ParseCSIVolume(e.Name, fs, nil)
	if err != nil {
		fs = ""
	}
	given, _ := e.Options["volumeContext"].(map[string]any)
	context := map[string]string{}
	for _, key := range inOrder(maps.Keys(given)) {
		value, isText := given[key].(string)
		if !isText {
			continue
		}
		context[key] = value
		if request, err := api.ParseCSIVolume(e.Name, fs, context); err == nil {
			asked = request
		} else {
			delete(context, key)
		}
	}
	return asked
}

// inOrder returns the names of options so that each comes behind those that it makes
// no sense without: grace says for how long reclaim waits.
func inOrder(names iter.Seq[string]) []string {
	last := func(name string) int {
		if strings.EqualFold(path.Base(name), "grace") {
			return 1
		}
		return 0
	}
	return slices.SortedFunc(names, func(a, b string) int { return cmp.Or(last(a)-last(b), strings.Compare(a, b)) })
}

func (e *External) text(option string) string {
	text, _ := e.Options[option].(string)
	return strings.TrimSpace(text)
}

func labelsOf(labels map[string]string) []api.Label {
	all := make([]api.Label, 0, len(labels))
	for key, value := range labels {
		all = append(all, api.Label{Key: key, Value: value})
	}
	slices.SortFunc(all, func(a, b api.Label) int { return strings.Compare(a.Key, b.Key) })
	return all
}

// variablesOf leaves out what is no text, such as secrets.
func variablesOf(env map[string]any) []api.Label {
	texts := map[string]string{}
	for key, value := range env {
		if text, ok := value.(string); ok {
			texts[key] = text
		}
	}
	return labelsOf(texts)
}
