package marathon

import (
	"fmt"
	"maps"
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
	volumes := named(requests, "labels")
	if a.Container == nil {
		return volumes, err
	}
	for i, v := range a.Container.Volumes {
		if v.External == nil {
			continue
		}
		if external, ours := v.external(); ours {
			external.At = fmt.Sprintf("container.volumes[%d]", i)
			volumes = append(volumes, external)
		}
	}
	return volumes, err
}

// Volumes returns the volumes that a pod asks of Flocker; pods have no external
// ones. The labels of the pod go to all of its containers.
func (p *Pod) Volumes() ([]Volume, error) {
	requests, _, err := api.ParseVolumes(p.ID, labelsOf(p.Labels), variablesOf(p.Environment))
	volumes := named(requests, "labels")
	if err != nil {
		return volumes, err
	}
	for i, c := range p.Containers {
		requests, _, err := api.ParseVolumes(p.ID, labelsOf(c.Labels), variablesOf(c.Environment))
		if err != nil {
			return volumes, err
		}
		volumes = append(volumes, named(requests, fmt.Sprintf("containers[%d].labels", i))...)
	}
	return volumes, nil
}

func named(requests []api.VolumeRequest, at string) []Volume {
	volumes := make([]Volume, len(requests))
	for i, r := range requests {
		volumes[i] = Volume{VolumeRequest: r, Form: FormLabels, At: at}
	}
	return volumes
}

// external returns what an external volume asks for, if it is ours.
func (v ContainerVolume) external() (Volume, bool) {
	e := v.External
	volume := Volume{VolumeRequest: api.VolumeRequest{
		Key: e.Name, Path: v.ContainerPath, Name: e.Name, ReadOnly: strings.EqualFold(v.Mode, "RO"),
	}}
	switch {
	case e.Provider == "dvdi" && e.text("dvdi/driver") == DVDIDriver:
		volume.Form = FormDVDI
		asked := e.dvdi()
		volume.Profile, volume.FS, volume.Size, volume.Preempt = asked.Profile, asked.FS, asked.Size, asked.Preempt
	case e.Provider == "csi" && e.text("pluginName") == CSIPlugin:
		volume.Form = FormCSI
		if capability, ok := e.Options["capability"].(map[string]any); ok {
			volume.FS, _ = capability["fsType"].(string)
		}
		if context, ok := e.Options["volumeContext"].(map[string]any); ok {
			volume.Profile, _ = context["profile"].(string)
			size, _ := context["size"].(string)
			volume.Size = sizeOf(size)
		}
	default:
		return Volume{}, false
	}
	return volume, true
}

// dvdi returns what dvdcli is asked for, by the options that Marathon passes on. What
// dvdcli refuses is left out.
func (e *External) dvdi() api.VolumeRequest {
	var options []string
	for _, key := range slices.Sorted(maps.Keys(e.Options)) {
		name, ours := strings.CutPrefix(key, "dvdi/")
		option := name + "=" + e.text(key)
		if !ours || name == "driver" || name == "size" && e.Size != nil {
			continue
		}
		if _, _, err := api.ParseDVDOptions(key, e.Name, []string{option}); err == nil {
			options = append(options, option)
		}
	}
	asked, _, err := api.ParseDVDOptions("options", e.Name, options)
	if err != nil {
		asked = api.VolumeRequest{} // they contradict each other
	}
	if e.Size != nil && *e.Size > 0 && *e.Size <= maxGiB {
		asked.Size = *e.Size * gib
	}
	return asked
}

func (e *External) text(option string) string {
	text, _ := e.Options[option].(string)
	return strings.TrimSpace(text)
}

// sizeOf reads a size that is written as in labels, 0 where it cannot be read.
// A plain number is of GiB, as REX-Ray has it.
func sizeOf(text string) int64 {
	if text != "" && strings.Trim(text, "0123456789") == "" {
		text += "GiB"
	}
	size, err := api.ParseSize(text)
	if err != nil {
		return 0
	}
	return size
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
