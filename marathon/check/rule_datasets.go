package check

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/marathon"
)

// sharing knows who asks for which dataset.
type sharing struct {
	users   map[string][]user // by the name of a dataset, or of a volume set
	members map[string][]user // of datasets that could be members of a set, by its name
}

// user is an app or a pod that asks for a dataset.
type user struct {
	id   string
	host string // that it is kept on, "" if it is on none
	form marathon.Form
	each int
	// named says that the dataset's name is made from the id.
	named bool
}

// newSharing looks at the workloads, and at those that run besides: of an app that
// is both, what is to become of it counts.
func newSharing(all []*workload, running []*Definition) *sharing {
	s := &sharing{users: map[string][]user{}, members: map[string][]user{}}
	checked := map[string]bool{}
	for _, w := range all {
		checked[w.ID] = true
		s.add(w)
	}
	for _, d := range running {
		if !checked[d.ID] {
			s.add(d.workload())
		}
	}
	return s
}

func (s *sharing) add(w *workload) {
	host, _ := w.host()
	for _, v := range w.volumes {
		u := user{w.ID, host, v.Form, v.Each, named(w, v)}
		s.users[v.Name] = append(s.users[v.Name], u)
		if set, _, ok := api.ParseMemberName(v.Name); ok && v.Each == 0 {
			s.members[set] = append(s.members[set], u)
		}
	}
}

// named reports whether the name of a volume is made from the id of its app.
func named(w *workload, v volume) bool {
	return v.Form == marathon.FormLabels && api.NamedAfter(w.ID, v.Key, v.Name) != ""
}

func lookNameTwice(p *probe) {
	for _, v := range p.volumes {
		if !named(p.workload, v) {
			continue
		}
		for _, u := range p.sharing.users[v.Name] {
			if u.named && api.NamedAfter(u.id, v.Key, v.Name) != api.NamedAfter(p.ID, v.Key, v.Name) {
				p.find(v.at, remedy{text: "set " + api.LabelPrefix + v.Key + ".name to a name of its own"},
					"the volume has no name, and the one made from the app's id, %s, is also that of %s", v.Name, u.id)
				break
			}
		}
	}
}

// others returns who else asks for a volume, or for a member of its set, or for the set
// that it is a member of.
func (s *sharing) others(w *workload, v volume) []user {
	host, _ := w.host()
	var all []user
	look := func(users []user, sets bool) {
		for _, u := range users {
			same := slices.ContainsFunc(all, func(o user) bool { return o.id == u.id })
			if u.id != w.ID && !same && (u.each != 0) == sets && (host == "" || u.host != host) {
				all = append(all, u)
			}
		}
	}
	look(s.users[v.Name], v.Each != 0)
	if v.Each != 0 {
		look(s.members[v.Name], false)
	} else if set, _, ok := api.ParseMemberName(v.Name); ok {
		look(s.users[set], true)
	}
	return all
}

func lookShared(p *probe) {
	seen := map[string]bool{}
	for _, v := range p.volumes {
		others := slices.DeleteFunc(p.sharing.others(p.workload, v), func(u user) bool {
			return u.named && named(p.workload, v) // lookNameTwice has that
		})
		if len(others) == 0 || seen[v.Name] {
			continue
		}
		seen[v.Name] = true
		names := make([]string, len(others))
		for i, o := range others {
			names[i] = fmt.Sprintf("%s (%s)", o.id, o.form)
		}
		p.find(v.at, remedy{}, "the dataset %s is also asked for by %s", v.Name, list(names))
	}
}

func lookDatasetTwice(p *probe) {
	seen := map[string]volume{}
	for _, v := range p.volumes {
		first, twice := seen[v.Name]
		if twice && first.container == v.container {
			p.find(v.at, remedy{}, "the dataset %s is asked for here and at %s", v.Name, first.at)
			continue
		}
		seen[v.Name] = v
	}
}

// maxMembers bounds how many members of a set are looked at.
const maxMembers = 100

// datasets returns the names of the datasets that a volume stands for: one, or the
// members of its set.
func (w *workload) datasets(v volume) []string {
	n := v.Each
	switch n {
	case 0:
		return []string{v.Name}
	case api.EachInstance:
		n = w.instances
	}
	var names []string
	for i := range min(n, maxMembers) {
		names = append(names, api.MemberName(v.Name, i))
	}
	return names
}

// Names returns which datasets the definitions of documents ask for.
func Names(documents []*Document) []string {
	names := map[string]bool{}
	for _, d := range documents {
		for _, definition := range d.Definitions {
			w := definition.workload()
			for _, v := range w.volumes {
				for _, name := range w.datasets(v) {
					names[name] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// eachDataset calls f with the datasets that exist and that a volume stands for.
func (p *probe) eachDataset(f func(v volume, name string, d Dataset)) {
	for _, v := range p.volumes {
		for _, name := range p.datasets(v) {
			if d, exists := p.context.Datasets[name]; exists {
				f(v, name, d)
			}
		}
	}
}

func lookAbsolute(p *probe) {
	for _, v := range p.volumes {
		if v.Form == marathon.FormLabels && path.IsAbs(v.Path) && p.containers[v.container].image == "" && !p.hasImage() {
			relative := strings.TrimPrefix(v.Path, "/")
			p.find(v.at, remedy{}, "%s of a container without an image is put at %s below the sandbox", v.Path, relative)
		}
	}
}

// hasImage reports whether an app has an image that is not Docker's.
func (w *workload) hasImage() bool { return !w.Pod && w.has("container", "appc") }

func lookFileSystem(p *probe) {
	p.eachDataset(func(v volume, name string, d Dataset) {
		if v.FS != "" && d.FS != "" && v.FS != d.FS {
			p.find(p.setting(v, "fs"), remedy{}, "%s has %s, and the app asks for %s", name, d.FS, v.FS)
		}
	})
}

func lookSize(p *probe) {
	p.eachDataset(func(v volume, name string, d Dataset) {
		if v.Size == 0 || d.Size == 0 || v.Size == d.Size {
			return
		}
		has, wants := api.FormatSize(d.Size), api.FormatSize(v.Size)
		at := p.setting(v, "size")
		if v.Size < d.Size {
			p.find(at, remedy{text: "write " + has}, "%s has %s, and the app asks for %s: it stays as large as it is", name, has, wants)
			return
		}
		p.find(at, remedy{text: fmt.Sprintf("flocker volumes grow %s %s", name, wants)},
			"%s has %s, and the app asks for %s: it does not grow by itself", name, has, wants)
	})
}

// setting returns where a setting of a volume is, or else the volume.
func (p *probe) setting(v volume, name string) string {
	if v.Form == marathon.FormLabels {
		at := tokensOf(v.at)
		if at[len(at)-1] += "." + name; p.has(at...) {
			return pointer(at...)
		}
	}
	return v.at
}
