package host

import (
	"strings"
	"testing"
)

func TestContainerIsToldFromTheCgroup(t *testing.T) {
	const id, child = "2b1c7d0e-6f53-4b7c-9a55-0d2f0a6a2b11", "7d0e2b1c-6f53-4b7c-9a55-0d2f0a6a2b12"
	digest := strings.Repeat("0123456789ab", 6)[:64]
	cases := map[string]struct{ cgroups, want string }{
		"mesos":            {"12:memory:/mesos/" + id + "\n0::/mesos/" + id, "Mesos container " + id},
		"another root":     {"5:cpu,cpuacct:/prod/mesos/" + id, "Mesos container " + id},
		"nested":           {"0::/mesos/" + id + "/mesos/" + child, "Mesos container " + id + "." + child},
		"leaf":             {"0::/mesos/" + id + "/leaf", "Mesos container " + id},
		"docker":           {"0::/system.slice/docker-" + digest + ".scope", "Docker container 0123456789ab"},
		"docker, cgroupfs": {"4:cpu:/docker/" + digest, "container 0123456789ab"},
		"podman":           {"0::/machine.slice/libpod-" + digest + ".scope/container", "podman container 0123456789ab"},
		"kubernetes":       {"0::/kubepods.slice/cri-containerd-" + digest + ".scope", "cri-containerd container 0123456789ab"},
		"none":             {"0::/system.slice/sshd.service", ""},
		"nothing":          {"", ""},
		"hostile":          {"0::/x\x1b[31m-" + digest, "x??31m container 0123456789ab"},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			if got := containerOf(c.cgroups); got != c.want {
				t.Errorf("containerOf(%q) = %q, want %q", c.cgroups, got, c.want)
			}
		})
	}
}
