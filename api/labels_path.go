package api

import (
	"path"
	"slices"
	"strings"
)

// SandboxPath is where a container with an image sees its sandbox, unless the
// Mesos agent's --sandbox_directory says otherwise.
const SandboxPath = "/mnt/mesos/sandbox"

// maxPathLength keeps a container path, with a sandbox's or rootfs' directory
// before it, well below the kernel's limit of 4096 bytes.
const maxPathLength = 1024

// kernelPaths are mounted over by Mesos itself, after or before any volume.
var kernelPaths = []string{"/proc", "/sys", "/dev"}

// path returns the container path in its shortest form.
func (p *parser) path(d *draft, s setting) string {
	clean := path.Clean(s.value)
	absolute := absolutePath(clean)
	switch {
	case s.value == "":
		// Noted when it was set.
	case slices.Contains(strings.Split(s.value, "/"), ".."):
		p.mistake(s.field, "path %q leads upwards: write it without \"..\"%s", brief(s.value), d.origin)
	case clean == "/" || clean == ".":
		p.mistake(s.field, "path %q would hide the whole container: name a directory, such as /data%s", s.value, d.origin)
	case Within(SandboxPath, absolute):
		p.mistake(s.field, "path %q would hide the sandbox, %s: name another directory, such as /data%s",
			s.value, SandboxPath, d.origin)
	case slices.ContainsFunc(kernelPaths, func(k string) bool { return Within(absolute, k) }):
		p.mistake(s.field, "path %q is the kernel's: name another directory, such as /data%s", s.value, d.origin)
	case len(clean) > maxPathLength:
		p.mistake(s.field, "path %q is longer than %d bytes%s", brief(s.value), maxPathLength, d.origin)
	case slices.ContainsFunc(strings.Split(clean, "/"), func(e string) bool { return len(e) > 255 }):
		p.mistake(s.field, "path %q has an element longer than 255 bytes%s", brief(s.value), d.origin)
	}
	return clean
}

// checkPaths refuses volumes at one path and a volume inside another. Sorted
// with a slash at the end, all that is inside a path follows it immediately.
func (p *parser) checkPaths() {
	sorted := slices.Clone(p.volumes)
	slices.SortFunc(sorted, func(a, b parsed) int {
		return strings.Compare(absolutePath(a.Path)+"/", absolutePath(b.Path)+"/")
	})
	var outer parsed
	for i, v := range sorted {
		switch {
		case i == 0 || !Within(absolutePath(v.Path), absolutePath(outer.Path)):
			outer = v
		case absolutePath(v.Path) == absolutePath(outer.Path):
			p.mistake(v.pathField, "path %q is also %s's: every volume needs a path of its own", v.Path, outer.pathField)
		default:
			p.mistake(v.pathField, "path %q is inside %s's, %q: put it beside that",
				v.Path, outer.pathField, outer.Path)
		}
	}
}

// absolutePath returns a clean container path as a container with an image
// sees it.
func absolutePath(clean string) string {
	if path.IsAbs(clean) {
		return clean
	}
	return path.Join(SandboxPath, clean)
}

// Within reports whether a clean path is dir or inside it.
func Within(p, dir string) bool {
	return p == dir || strings.HasPrefix(p, strings.TrimSuffix(dir, "/")+"/")
}
