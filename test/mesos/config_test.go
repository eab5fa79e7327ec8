package mesos

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
)

// recording returns a recorded file of a real Mesos as Mesos wrote it: on one line.
func recording(t *testing.T, name string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata/recordings", name))
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := json.Compact(&b, data); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// recorded takes the identity of a recorded container.
func recorded(t *testing.T, text string) (identity, containerID) {
	t.Helper()
	var in struct {
		ContainerConfig struct {
			Directory, Rootfs string
			ExecutorInfo      struct {
				FrameworkID value `json:"framework_id"`
			} `json:"executor_info"`
			TaskInfo struct {
				SlaveID value `json:"slave_id"`
			} `json:"task_info"`
		} `json:"container_config"`
		ContainerID containerID `json:"container_id"`
	}
	if err := json.Unmarshal([]byte(text), &in); err != nil {
		t.Fatal(err)
	}
	return identity{
		agent: in.ContainerConfig.TaskInfo.SlaveID.Value, framework: in.ContainerConfig.ExecutorInfo.FrameworkID.Value,
		container: in.ContainerID, directory: in.ContainerConfig.Directory, rootfs: in.ContainerConfig.Rootfs,
	}, in.ContainerID
}

const recordedCommand = "echo START; pwd; env | sort; ls -la; cat data/MARK 2>&1; " +
	"grep -E 'data|flocker' /proc/self/mountinfo; "

var recordedTask = &Task{
	ID:      "cmd1",
	Command: recordedCommand + "sleep ${SLEEP:-3}; echo END",
	Env: []Variable{
		Var("FLOCKER_ID", "0e3a7a52-1111-2222-3333-444455556666"),
		Var("FLOCKER_CONTAINER_VOLUME_PATH", "data"), Var("SLEEP", "3"),
	},
	Labels: []Label{{"flocker.volume.0", "name=pgdata,path=data,size=1G"}, {"other", "x"}},
	CPUs:   0.1, Mem: 32,
}

var recordedGroup = &Group{Tasks: []*Task{
	{
		ID: "g1a", Command: recordedCommand + "sleep 3; echo END", CPUs: 0.1, Mem: 32,
		Env:    []Variable{Var("FLOCKER_ID", "g1a-id"), Var("FLOCKER_CONTAINER_VOLUME_PATH", "data")},
		Labels: []Label{{"flocker.volume.0", "name=pgdata,path=data,size=1G"}},
	},
	{
		ID: "g1b", Command: "echo START; pwd; sleep 5; echo END", CPUs: 0.1, Mem: 32,
		Env:    []Variable{Var("FLOCKER_ID", "g1b-id")},
		Labels: []Label{{"flocker.volume.0", "name=pgdata2,path=data2,size=1G"}},
	},
}}

var recordedCSI = CSIVolume{
	Plugin: "csi.flocker.test", ID: "vol-pgdata", ContainerPath: "data",
	AccessMode: "SINGLE_NODE_WRITER", FSType: "ext4", MountFlags: []string{"noatime"},
	Context: map[string]string{"flocker.name": "pgdata", "flocker.size": "1G"},
}

func TestInputIsWhatMesosWrites(t *testing.T) {
	image := &Task{
		ID: "im", Image: "tiny", CPUs: 0.1, Mem: 64,
		Command: "echo START; pwd; env | sort; ls -la / /mnt/mesos/sandbox /var/lib/postgresql/data reldata " +
			"/mnt/mesos/sandbox/reldata /mnt/hooked /mnt/mesos/sandbox/hooked-sb 2>&1; " +
			"cat /proc/self/mountinfo | grep -E 'dvd|backing'; sleep 1",
		Volumes: []DockerVolume{
			{Driver: "flocker", Name: "pgdata", ContainerPath: "/var/lib/postgresql/data"},
			{Driver: "flocker", Name: "other", ContainerPath: "reldata"},
		},
	}
	group := func(id identity) executorInfo { return groupExecutorInfo(id, recordedGroup) }
	cases := map[string]struct {
		config func(identity) *containerConfig
		pid    int
	}{
		"command-task/01-prepare.json": {config: func(id identity) *containerConfig { return commandTaskConfig(id, recordedTask) }},
		"command-task/02-isolate.json": {
			config: func(id identity) *containerConfig { return commandTaskConfig(id, recordedTask) }, pid: 27917,
		},
		"command-task/03-cleanup.json": {config: func(id identity) *containerConfig { return commandTaskConfig(id, recordedTask) }},
		"image-command-task/03-prepare.json": {
			config: func(id identity) *containerConfig { return commandTaskConfig(id, image) },
		},
		"csi-volume/01-prepare.json": {
			config: func(id identity) *containerConfig {
				return commandTaskConfig(id, &Task{
					ID: "csi1", CPUs: 0.1, Mem: 32, CSI: []CSIVolume{recordedCSI},
					Command: "echo START; pwd; ls -la data; cat data/MARK; grep data /proc/self/mountinfo; sleep 3; echo END",
				})
			},
		},
		"task-group/01-prepare.json": {
			config: func(id identity) *containerConfig { return groupExecutorConfig(id, group(id)) },
		},
		"task-group/03-prepare.json": {
			config: func(id identity) *containerConfig { return nestedTaskConfig(id, group(id), recordedGroup.Tasks[0]) },
		},
		"task-group/04-prepare.json": {
			config: func(id identity) *containerConfig { return nestedTaskConfig(id, group(id), recordedGroup.Tasks[1]) },
		},
		"pod-with-health-check/05-prepare.json": {
			config: func(id identity) *containerConfig {
				one := &Group{Tasks: recordedGroup.Tasks[:1]}
				return debugConfig(id, groupExecutorInfo(id, one), "grep -q hello data/MARK && readlink /proc/self/ns/mnt")
			},
		},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			want := recording(t, name)
			id, container := recorded(t, want)
			got, err := encode(&input{ContainerConfig: c.config(id), ContainerID: container, Pid: c.pid})
			if err != nil {
				t.Fatal(err)
			}
			if string(got) != want {
				t.Errorf("input is\n%s\nwant\n%s", got, want)
			}
		})
	}
}
