package check

import (
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/tailscale/hujson"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/marathon"
)

func lookDocker(p *probe) {
	if p.Pod || len(p.volumes) == 0 || p.app.Container == nil {
		return
	}
	kind := strings.ToUpper(p.app.Container.Type) // Marathon reads it in either case
	at := []string{"container", "type"}
	if kind != "" && kind != "MESOS" && kind != "DOCKER" {
		r := remedy{text: `write "MESOS"`}
		if near(kind, "MESOS") {
			r.patch = p.set(text("MESOS"), at...)
		}
		p.find(pointer(at...), r, "container.type is %s, which Marathon refuses", strconv.Quote(p.app.Container.Type))
		return
	}
	if kind == "MESOS" || p.app.Container.Docker == nil {
		return
	}
	what := "container.type is DOCKER"
	if kind == "" {
		what = "container.type is missing, and Marathon's default is DOCKER"
	}
	r := remedy{patch: p.set(text("MESOS"), at...)}
	if docker, found := find(p.value, []string{"container", "docker"}); found {
		for _, name := range []string{"parameters", "privileged", "network", "portMappings"} {
			if says(child(docker, name)) {
				r = remedy{text: `set container.type to "MESOS", and do without container.docker.` + name + ", which it does not know"}
				break
			}
		}
	}
	p.find(pointer(at...), r, "%s", what)
}

// says reports whether a setting is there and more than nothing: Marathon itself answers
// with empty ones.
func says(v *hujson.Value) bool {
	if v == nil {
		return false
	}
	switch value := v.Value.(type) {
	case *hujson.Array:
		return len(value.Elements) > 0
	case *hujson.Object:
		return len(value.Members) > 0
	default:
		return v.Value.Kind() != 'n' && v.Value.Kind() != 'f'
	}
}

func lookPodVolume(p *probe) {
	if !p.Pod {
		return
	}
	for i, v := range p.pod.Declared {
		if v.External != nil {
			p.find(pointer("volumes", strconv.Itoa(i)), remedy{}, "the pod's volume %s is an external one", strconv.Quote(v.Name))
		}
	}
}

func lookPodLabels(p *probe) {
	if !p.Pod || len(p.containers) < 2 {
		return
	}
	for _, l := range listed(p.pod.Labels) {
		rest, ours := strings.CutPrefix(l.Key, api.LabelPrefix)
		if ours && !strings.Contains(rest, ".") {
			p.find(pointer("labels", l.Key), remedy{}, "%s goes to all %d containers", l.Key, len(p.containers))
		}
	}
}

func lookExternalName(p *probe) {
	p.external(func(n string, v marathon.ContainerVolume) {
		option, want := "dvdi/driver", marathon.DVDIDriver
		switch {
		case v.External.Provider == "csi":
			option, want = "pluginName", marathon.CSIPlugin
		case v.External.Provider != "dvdi":
			p.find(pointer("container", "volumes", n, "external", "provider"), remedy{text: "write dvdi or csi"},
				"Marathon knows no provider %s", strconv.Quote(v.External.Provider))
			return
		}
		name, _ := v.External.Options[option].(string)
		at := []string{"container", "volumes", n, "external", "options", option}
		if name == "" {
			p.find(pointer(at...), remedy{}, "%s is missing, and Marathon refuses the app", option)
			return
		}
		if name == want || !isNearName(name, want) {
			return
		}
		p.find(pointer(at...), remedy{text: "write " + want, patch: p.set(text(want), at...)}, "%s is %s, and Flocker's is %s",
			option, strconv.Quote(name), want)
	})
}

func textOption(v marathon.ContainerVolume, name string) string {
	text, _ := v.External.Options[name].(string)
	return text
}

// isNearName reports whether a driver's name was meant to be ours.
func isNearName(name, want string) bool {
	return near(bareKey(name), bareKey(want)) || near(bareKey(name), "flocker") || strings.Contains(bareKey(name), "flocker")
}

// eachOf calls f with the volumes of ours that have a form.
func (w *workload) eachOf(form marathon.Form, f func(at []string, v marathon.ContainerVolume)) {
	for _, one := range w.volumes {
		if one.Form != form {
			continue
		}
		at := tokensOf(one.at)
		i, err := strconv.Atoi(last(at))
		if err == nil && i < len(w.app.Container.Volumes) {
			f(at, w.app.Container.Volumes[i])
		}
	}
}

func lookFeature(p *probe) {
	if p.context.Features == nil || slices.Contains(p.context.Features, "external_volumes") {
		return
	}
	p.external(func(n string, _ marathon.ContainerVolume) {
		p.find(pointer("container", "volumes", n), remedy{}, "Marathon runs without the feature external_volumes")
	})
}

func lookDVDIMode(p *probe) {
	p.eachOf(marathon.FormDVDI, func(at []string, v marathon.ContainerVolume) {
		if !strings.EqualFold(v.Mode, "RW") {
			p.find(pointer(append(at, "mode")...), remedy{}, "mode is %s", strconv.Quote(v.Mode))
		}
	})
}

func lookDVDIShared(p *probe) {
	p.eachOf(marathon.FormDVDI, func(at []string, v marathon.ContainerVolume) {
		if v.External.Shared {
			at = append(at, "external", "shared")
			p.find(pointer(at...), remedy{patch: p.remove(at...)}, "the volume %s is shared", v.External.Name)
		}
	})
}

// optionName is what Marathon takes for the name of an option.
var optionName = regexp.MustCompile(`^[a-z0-9]([-a-z0-9]*[a-z0-9])?/[A-Za-z0-9]([-A-Za-z0-9._:]*[A-Za-z0-9])?$`)

func lookDVDIOptions(p *probe) {
	p.eachOf(marathon.FormDVDI, func(at []string, v marathon.ContainerVolume) {
		for _, name := range slices.Sorted(maps.Keys(v.External.Options)) {
			p.lookOption(append(slices.Clone(at), "external", "options", name), name, v)
		}
		if v.External.Size != nil && *v.External.Size <= 0 {
			p.find(pointer(append(at, "external", "size")...), remedy{text: "write the size in GiB, as in \"size\": 20"}, "size is %d", *v.External.Size)
		}
	})
}

func (p *probe) lookOption(at []string, name string, v marathon.ContainerVolume) {
	prefix, rest, _ := strings.Cut(name, "/")
	if !strings.Contains(name, "/") {
		rest = name
	}
	value, isText := v.External.Options[name].(string)
	understood := func(option string) error {
		options := []string{option + "=" + strings.TrimSpace(value)}
		if _, beside := v.External.Options["dvdi/"+reclaim]; strings.EqualFold(option, grace) && beside {
			options = append(options, besideGrace(textOption(v, "dvdi/"+reclaim)))
		}
		_, _, err := api.ParseDVDOptions(name, v.External.Name, options)
		return err
	}
	r := remedy{}
	if prefix != "dvdi" && isText && understood(rest) == nil {
		r = remedy{text: "write dvdi/" + rest, patch: p.rename("dvdi/"+rest, at...)}
	}
	switch {
	case !isText:
		p.find(pointer(at...), remedy{text: "write a text"}, "the value of %s is no text", name)
	case !optionName.MatchString(name):
		p.find(pointer(at...), r, "Marathon refuses the option %s: its name has no prefix, as in dvdi/size", strconv.Quote(name))
	case prefix != "dvdi":
		p.as(Warning).find(pointer(at...), r, "the option %s is dropped", name)
	case rest == "driver":
	case rest == "size" && v.External.Size != nil:
		p.as(Warning).find(pointer(at...), remedy{text: "remove it", patch: p.remove(at...)},
			"dvdi/size has no effect: external.size, %d, is what counts", *v.External.Size)
	default:
		if err := understood(rest); err != nil {
			if meant := meantKey(rest, api.DVDOptions()); meant != "" {
				r = remedy{text: "write dvdi/" + meant, patch: p.rename("dvdi/"+meant, at...)}
			}
			p.find(pointer(at...), r, "%v", err)
		}
	}
}

// Settings that go together.
const (
	reclaim = "reclaim"
	grace   = "grace"
)

// besideGrace returns what a grace goes with: what is said of reclaim, or if that is a
// mistake, which is told by itself, what will have been meant.
func besideGrace(said string) string {
	option := reclaim + "=" + strings.TrimSpace(said)
	if _, _, err := api.ParseDVDOptions(reclaim, "x", []string{option}); err != nil {
		return reclaim + "=" + string(api.ReclaimDelete)
	}
	return option
}

func lookCSIAccess(p *probe) {
	p.eachOf(marathon.FormCSI, func(at []string, v marathon.ContainerVolume) {
		at = append(at, "external", "options", "capability")
		capability, _ := v.External.Options["capability"].(map[string]any)
		mode, _ := capability["accessMode"].(string)
		kind, _ := capability["accessType"].(string)
		field := func(name string) []string { return append(slices.Clone(at), name) }
		readOnly := strings.EqualFold(v.Mode, "RO")
		writer := remedy{patch: p.set(text("SINGLE_NODE_WRITER"), field("accessMode")...)}
		switch {
		case mode == "SINGLE_NODE_WRITER", mode == "SINGLE_NODE_READER_ONLY" && readOnly:
		case mode == "SINGLE_NODE_READER_ONLY":
			p.find(pointer(field("accessMode")...), remedy{text: "write \"mode\": \"RO\", or \"accessMode\": \"SINGLE_NODE_WRITER\""},
				"accessMode is SINGLE_NODE_READER_ONLY, and mode is %s", strconv.Quote(v.Mode))
		case mode == "":
			p.find(pointer(field("accessMode")...), writer, "accessMode is missing")
		default:
			p.find(pointer(field("accessMode")...), writer, "accessMode is %s, and a volume of Flocker's is on one machine at a time", mode)
		}
		if kind != "mount" {
			says := "accessType is " + kind
			if kind == "" {
				says = "accessType is missing"
			}
			p.find(pointer(field("accessType")...), remedy{patch: p.set(text("mount"), field("accessType")...)}, "%s", says)
		}
		if _, given := capability["fsType"].(string); !given && kind != "block" {
			fs := p.fileSystem(v)
			p.find(pointer(field("fsType")...), remedy{text: "write \"fsType\": " + strconv.Quote(fs), patch: p.set(text(fs), field("fsType")...)},
				"fsType is missing, and Marathon answers 500")
		}
	})
}

// fileSystem returns which fsType a CSI volume without one means: that of the dataset,
// where it is known, or the one of volumeContext, or the default.
func (p *probe) fileSystem(v marathon.ContainerVolume) string {
	if d := p.context.Datasets[v.External.Name]; d.FS != "" {
		return d.FS
	}
	given, _ := v.External.Options["volumeContext"].(map[string]any)
	fs, _ := given["fs"].(string)
	if fs == "" {
		return api.FSExt4
	}
	if asked, err := api.ParseCSIVolume(v.External.Name, "", map[string]string{"fs": fs}); err == nil {
		return asked.FS
	}
	return api.FSExt4
}

func lookCSISecrets(p *probe) {
	p.eachOf(marathon.FormCSI, func(at []string, v marathon.ContainerVolume) {
		for _, name := range []string{"nodeStageSecret", "nodePublishSecret"} {
			if secrets, _ := v.External.Options[name].(map[string]any); len(secrets) > 0 {
				p.find(pointer(append(slices.Clone(at), "external", "options", name)...), remedy{}, "%s is given", name)
			}
		}
	})
}

func lookCSIOptions(p *probe) {
	p.eachOf(marathon.FormCSI, func(at []string, v marathon.ContainerVolume) {
		options := append(slices.Clone(at), "external", "options")
		capability, _ := v.External.Options["capability"].(map[string]any)
		fs, _ := capability["fsType"].(string)
		given, _ := v.External.Options["volumeContext"].(map[string]any)
		context := map[string]string{}
		for _, name := range slices.Sorted(maps.Keys(given)) {
			if value, isText := given[name].(string); isText {
				context[name] = value
			} else {
				p.find(pointer(append(options, "volumeContext", name)...), remedy{text: "write a text"}, "the value of %s is no text", name)
			}
		}
		_, err := api.ParseCSIVolume(v.External.Name, fs, context)
		mistakes, _ := err.(api.Mistakes) //nolint:errorlint // ParseCSIVolume says that it is one
		for _, m := range mistakes {
			p.csiMistake(options, m)
		}
		flags, _ := capability["mountFlags"].([]any)
		for i, flag := range flags {
			text, _ := flag.(string)
			if err := api.CheckCSIMountFlag(text); err != nil {
				p.find(pointer(append(slices.Clone(options), "capability", "mountFlags", strconv.Itoa(i))...), remedy{}, "%v", err)
			}
		}
	})
}

// csiMistake notes a mistake that the plugin will find, where it stands in the app.
func (p *probe) csiMistake(options []string, m *api.Error) {
	var at []string
	r := remedy{}
	name, inContext := strings.CutPrefix(m.Field, "volume_context.")
	switch {
	case inContext:
		at = append(slices.Clone(options), "volumeContext", name)
		if meant := meantKey(name, api.CSISettings()); meant != "" {
			r = remedy{text: "write " + meant, patch: p.rename(meant, at...)}
		}
	case strings.HasSuffix(m.Field, "fs_type"):
		at = append(slices.Clone(options), "capability", "fsType")
	default:
		at = append(slices.Clone(options[:len(options)-1]), "name")
	}
	p.find(pointer(at...), r, "%s", m.Message)
}

func lookReclaim(p *probe) {
	if !p.context.Unfollowed {
		return
	}
	for _, v := range p.volumes {
		if v.Reclaim == api.ReclaimDelete {
			p.find(p.setting(v, reclaim), remedy{}, "%s is to be deleted with the app, but no control service hears when that is destroyed", v.Name)
		}
	}
}
