package vm_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestExposureOfUnits holds the units to what systemd-analyze counts against
// them, in tenths: lower is better, and nothing may undo it unseen.
func TestExposureOfUnits(t *testing.T) {
	for unit, bound := range map[string]string{
		"flocker-control.service": "15",
		// It mounts for the host to see, as root: most of what is left comes of that.
		"flocker-agent.service": "50",
	} {
		out, err := exec.CommandContext(t.Context(), "systemd-analyze", "security", "--offline=yes", "--no-pager",
			"--threshold="+bound, filepath.Join(unitsDir, unit)).CombinedOutput()
		if err != nil {
			t.Errorf("exposure of %s is above %s: %v\n%s", unit, bound, err, out)
		}
	}
}

// TestAgentUnitKeepsTheMountNamespace looks for settings that would give the
// agent a mount namespace of its own, where no container sees its volumes.
func TestAgentUnitKeepsTheMountNamespace(t *testing.T) {
	text, err := os.ReadFile(filepath.Join(unitsDir, "flocker-agent.service"))
	if err != nil {
		t.Fatal(err)
	}
	settings := map[string]string{}
	var ofNamespaces string // the comment that lists them
	for line := range strings.Lines(string(text)) {
		if comment, ok := strings.CutPrefix(line, "#"); ok {
			ofNamespaces += comment
			continue
		}
		if name, value, ok := strings.Cut(strings.TrimSpace(line), "="); ok {
			settings[name] = value
		}
	}
	for _, name := range []string{
		"ProtectSystem", "ProtectHome", "ProtectProc", "ProcSubset", "ProtectKernelTunables", "ProtectKernelModules", "ProtectKernelLogs",
		"ProtectControlGroups", "PrivateTmp", "PrivateDevices", "PrivateIPC", "PrivateUsers", "ReadWritePaths", "ReadOnlyPaths", "InaccessiblePaths",
		"ExecPaths", "NoExecPaths", "TemporaryFileSystem", "BindPaths", "RootDirectory", "RootImage", "MountImages", "MountFlags",
		"LogNamespace", "DynamicUser",
	} {
		if value, ok := settings[name]; ok {
			t.Errorf("%s=%s gives the agent a mount namespace of its own", name, value)
		}
		if !strings.Contains(ofNamespaces, name) {
			t.Errorf("the unit's comment does not name %s", name)
		}
	}
	if settings["PrivateMounts"] != "no" {
		t.Errorf("PrivateMounts=%s, want no", settings["PrivateMounts"])
	}
}
