package api_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// env makes variables of names and values in turn.
func env(namesAndValues ...string) []api.Label {
	var vs []api.Label
	for i := 0; i < len(namesAndValues); i += 2 {
		vs = append(vs, api.Label{Key: namesAndValues[i], Value: namesAndValues[i+1]})
	}
	return vs
}

const label = "MARATHON_APP_LABEL_FLOCKER_VOLUME_"

func TestParseVolumesReadsTheEnvironment(t *testing.T) {
	tests := []struct {
		name   string
		labels []api.Label
		env    []api.Label
		want   []api.VolumeRequest
	}{
		{"Marathon's label variables", nil, env(label+"DATA", "/data", label+"DATA_SIZE", "20G", "PATH", "/bin"),
			[]api.VolumeRequest{{Key: "data", Path: "/data", Name: "app.data", Size: 20 << 30}}},
		{"a volume for each instance", nil, env(label+"DATA", "/data", label+"DATA_EACH", "3"),
			[]api.VolumeRequest{{Key: "data", Path: "/data", Name: "app.data", Each: 3}}},
		{"one line", nil, env(label+"0", "path=data,name=db"), []api.VolumeRequest{{Key: "0", Path: "data", Name: "db"}}},
		{"labels win over the same key", labels("data", "/data"), env(label+"DATA", "/other", label+"DATA_SIZE", "20G"),
			[]api.VolumeRequest{{Key: "data", Path: "/data", Name: "app.data"}}},
		{"variables add other keys", labels("data", "/data"), env(label+"LOG", "/log"), []api.VolumeRequest{
			{Key: "data", Path: "/data", Name: "app.data"}, {Key: "log", Path: "/log", Name: "app.log"}}},
		{"the last of two variables counts", nil, env(label+"DATA", "/old", label+"DATA", "/data"),
			[]api.VolumeRequest{{Key: "data", Path: "/data", Name: "app.data"}}},
		{"ClusterHQ's isolator", nil, env("FLOCKER_ID", "0e3a7a52", "FLOCKER_CONTAINER_VOLUME_PATH", "data"),
			[]api.VolumeRequest{{Key: "flocker-id", Path: "data", Name: "0e3a7a52"}}},
		{"ClusterHQ's isolator needs both", nil, env("FLOCKER_ID", "0e3a7a52"), nil},
		{"ClusterHQ's isolator needs both, the other way", nil, env("FLOCKER_CONTAINER_VOLUME_PATH", "data"), nil},
		{"ClusterHQ's isolator says what a label says", labels("db", "data", "db.name", "0e3a", "db.size", "1G"),
			env("FLOCKER_ID", "0e3a", "FLOCKER_CONTAINER_VOLUME_PATH", "data/"),
			[]api.VolumeRequest{{Key: "db", Path: "data", Name: "0e3a", Size: 1 << 30}}},
		{"DVDI", nil, env("DVDI_VOLUME_NAME", "db", "DVDI_VOLUME_DRIVER", "flocker", "DVDI_VOLUME_CONTAINERPATH", "/data",
			"DVDI_VOLUME_OPTS", "size=5,iops=150,volumetype=io1,newfstype=xfs,overwritefs=false"),
			[]api.VolumeRequest{{Key: "dvdi-0", Path: "/data", Name: "db", Size: 5 << 30, Profile: "io1", FS: "xfs"}}},
		{"DVDI with numbers", nil, env("DVDI_VOLUME_NAME1", "a", "DVDI_VOLUME_DRIVER1", "flocker", "DVDI_VOLUME_CONTAINERPATH1", "/a",
			"DVDI_VOLUME_NAME9", "b", "DVDI_VOLUME_DRIVER9", "flocker", "DVDI_VOLUME_CONTAINERPATH9", "/b",
			"DVDI_VOLUME_NAME10", "c", "DVDI_VOLUME_DRIVER10", "flocker", "DVDI_VOLUME_CONTAINERPATH10", "/c"),
			[]api.VolumeRequest{{Key: "dvdi-1", Path: "/a", Name: "a"}, {Key: "dvdi-9", Path: "/b", Name: "b"}}},
		{"DVDI of another driver", nil, env("DVDI_VOLUME_NAME", "db", "DVDI_VOLUME_DRIVER", "rexray"), nil},
		{"DVDI without a driver was rexray's", nil, env("DVDI_VOLUME_NAME", "db", "DVDI_VOLUME_CONTAINERPATH", "/x"), nil},
		{"DVDI beside a label of a like key", labels("dvdi0", "/data"), env("DVDI_VOLUME_NAME", "db",
			"DVDI_VOLUME_DRIVER", "flocker", "DVDI_VOLUME_CONTAINERPATH", "/db"),
			[]api.VolumeRequest{{Key: "dvdi-0", Path: "/db", Name: "db"}, {Key: "dvdi0", Path: "/data", Name: "app.dvdi0"}}},
		{"variables of others", nil, env("FLOCKER_VOLUME", "x", "MARATHON_APP_LABEL_TEAM", "y", "DVDI_VOLUMES", "z"), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, _, err := api.ParseVolumes("/app", tt.labels, tt.env)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func TestParseVolumesRefusesMistakesInTheEnvironment(t *testing.T) {
	dvdi := func(more ...string) []api.Label {
		return env(append([]string{"DVDI_VOLUME_NAME", "db", "DVDI_VOLUME_DRIVER", "flocker",
			"DVDI_VOLUME_CONTAINERPATH", "/data"}, more...)...)
	}
	tests := []struct {
		name   string
		labels []api.Label
		env    []api.Label
		want   string
	}{
		{"misspelt setting", nil, env(label+"DATA", "/data", label+"DATA_SISE", "1G"), "flocker.volume.data.sise: \"sise\" is not a setting of a volume: did you mean size? (as the task's environment variables"},
		{"key with a dash", nil, env(label+"MY_DATA", "/data"), "flocker.volume.my.data: "},
		{"no key", nil, env(label, "/data"), "can't name a volume"},
		{"the mistake of a label is reported once", labels("my-data", "/data"), env(label+"MY_DATA", "/data"),
			"flocker.volume.my-data: \"my-data\" can't name a volume: write flocker.volume.KEY with lower-case letters and digits, such as flocker.volume.data"},
		{"label and ClusterHQ's isolator at one path", labels("0", "name=pgdata,path=data"),
			env("FLOCKER_ID", "0e3a", "FLOCKER_CONTAINER_VOLUME_PATH", "data"),
			`FLOCKER_CONTAINER_VOLUME_PATH: path "data" is also flocker.volume.0's: every volume needs a path of its own`},
		{"label and ClusterHQ's isolator with one name", labels("0", "name=pgdata,path=data"),
			env("FLOCKER_ID", "pgdata", "FLOCKER_CONTAINER_VOLUME_PATH", "data2"), `FLOCKER_ID: the volume name "pgdata" is also`},
		{"DVDI without a name", nil, env("DVDI_VOLUME_DRIVER", "flocker", "DVDI_VOLUME_CONTAINERPATH", "/x"), "DVDI_VOLUME_NAME: the variable is missing"},
		{"DVDI without a path", nil, env("DVDI_VOLUME_DRIVER3", "flocker", "DVDI_VOLUME_NAME3", "x"), "DVDI_VOLUME_CONTAINERPATH3: the variable is missing"},
		{"DVDI overwriting", nil, dvdi("DVDI_VOLUME_OPTS", "overwritefs=true"), "DVDI_VOLUME_OPTS: option overwritefs=true is refused"},
		{"DVDI overwriting, in other words", nil, dvdi("DVDI_VOLUME_OPTS", "overwritefs=yes"), "overwritefs=yes is refused"},
		{"DVDI with an unknown option", nil, dvdi("DVDI_VOLUME_OPTS", "sizes=3"), "did you mean size?"},
		{"DVDI with a bare option", nil, dvdi("DVDI_VOLUME_OPTS", "size"), `option "size" has no value`},
		{"DVDI with another name", nil, dvdi("DVDI_VOLUME_OPTS", "volumename=x"), "contradicts"},
		{"DVDI with a bad size", nil, dvdi("DVDI_VOLUME_OPTS", "size=0"), "too small"},
		{"DVDI with an empty option", nil, dvdi("DVDI_VOLUME_OPTS", "size="), "is empty"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, _, err := api.ParseVolumes("/app", tt.labels, tt.env)
			if err == nil {
				t.Fatalf("got %+v, want an error", got)
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got  %v\nwant %s", err, tt.want)
			}
			if strings.Contains(err.Error(), "mistakes:") {
				t.Errorf("got %v, want one mistake", err)
			}
		})
	}
}

func TestParseVolumesNotesWhatHasNoEffect(t *testing.T) {
	_, notes, err := api.ParseVolumes("", nil, env("DVDI_VOLUME_NAME", "db", "DVDI_VOLUME_DRIVER", "flocker",
		"DVDI_VOLUME_CONTAINERPATH", "/data", "DVDI_VOLUME_OPTS", "iops=150"))
	if err != nil || len(notes) != 1 || !strings.HasPrefix(notes[0], "DVDI_VOLUME_OPTS: iops has no effect") {
		t.Errorf("got %v, %v", notes, err)
	}
}

func TestParseDVDOptions(t *testing.T) {
	got, notes, err := api.ParseDVDOptions("--volumeopts", "db",
		[]string{"size=1G", "profile=gold", "fsType=ext4", "preempt=true", "volumename=db", "iops=9", "grace=72h", "reclaim=Delete"})
	want := api.VolumeRequest{
		Name: "db", Size: 1 << 30, Profile: "gold", FS: "ext4", Preempt: true, Reclaim: api.ReclaimDelete, Grace: 72 * time.Hour,
	}
	if err != nil || got != want || len(notes) != 1 {
		t.Errorf("got %+v, %v, %v, want %+v", got, notes, err, want)
	}
	for _, bad := range [][]string{{"size"}, {"size=x"}, {"a=b"}, {"overwritefs=1"}, {"size=1", "size=2"}, {"fs=a\nb"}, {"each=3"}, {"reclaim=maybe"}, {"grace=72h"}, {"reclaim=keep", "grace=72h"}, {"reclaim=delete", "grace=3"},
		{"reclam=delete"}} {
		if got, _, err := api.ParseDVDOptions("--volumeopts", "db", bad); err == nil {
			t.Errorf("%q: got %+v, want an error", bad, got)
		}
	}
	if _, _, err := api.ParseDVDOptions("--volumeopts", "db", []string{"each=true"}); err == nil || !strings.Contains(err.Error(), "write the labels") {
		t.Errorf("each: got %v, want it to name the labels", err)
	}
	if _, _, err := api.ParseDVDOptions("--volumename", "", nil); err == nil {
		t.Error("an empty name was accepted")
	}
}

func FuzzParseVolumesFromEnvironment(f *testing.F) {
	f.Add(label+"DATA", "/data", label+"DATA_SIZE", "20G", "FLOCKER_ID", "x")
	f.Add("DVDI_VOLUME_NAME", "db", "DVDI_VOLUME_DRIVER", "flocker", "DVDI_VOLUME_OPTS", "size=5,fs=xfs")
	f.Add("FLOCKER_ID", "x", "FLOCKER_CONTAINER_VOLUME_PATH", "data", label+"_", "")
	f.Fuzz(func(t *testing.T, n1, v1, n2, v2, n3, v3 string) {
		volumes, _, err := api.ParseVolumes("/app", nil, env(n1, v1, n2, v2, n3, v3, "DVDI_VOLUME_DRIVER1", "flocker",
			"DVDI_VOLUME_NAME1", v1, "DVDI_VOLUME_CONTAINERPATH1", v2, "DVDI_VOLUME_OPTS1", v3))
		checkVolumes(t, volumes, err)
		volumes, _, err = api.ParseVolumes("/app", env(n1, v1), env(label+n2, v2, label+n3, v3))
		checkVolumes(t, volumes, err)
	})
}

// TestSizesOfREXRayAreOfGiB: a number without a unit is of GiB in the options of dvdcli and
// CSI, and is refused where it was meant in bytes.
func TestSizesOfREXRayAreOfGiB(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]int64{
		"20": 20 << 30, "20.0": 20 << 30, "1.5": 3 << 29, "65536": 64 << 40, "67108864b": 64 << 20, "64MiB": 64 << 20, "100TiB": 100 << 40,
	} {
		volume, _, err := api.ParseDVDOptions("--volumeopts", "db", []string{"size=" + text})
		if err != nil || volume.Size != want {
			t.Errorf("dvdcli, %s: got %d, %v, want %d", text, volume.Size, err, want)
		}
		if volume, err = api.ParseCSIVolume("db", "", map[string]string{"size": text}); err != nil || volume.Size != want {
			t.Errorf("CSI, %s: got %d, %v, want %d", text, volume.Size, err, want)
		}
	}
	for text, want := range map[string]string{
		"67108864":                `"67108864" has no unit and would be of GiB, more than 64TiB: if bytes are meant, write 64MiB, else write the unit, as in 67108864GiB`,
		"134217728.0":             "if bytes are meant, write 128MiB",
		"65537":                   "write the unit, as in 65537GiB",
		"99999999999999999999999": "more than 64TiB",
		"1.5e9":                   "is not a size",
		"0":                       "too small",
	} {
		_, _, err := api.ParseDVDOptions("--volumeopts", "db", []string{"size=" + text})
		_, csiErr := api.ParseCSIVolume("db", "", map[string]string{"size": text})
		_, _, labelErr := api.ParseVolumes("", nil, []api.Label{
			{Key: "DVDI_VOLUME_NAME", Value: "db"}, {Key: "DVDI_VOLUME_DRIVER", Value: "flocker"},
			{Key: "DVDI_VOLUME_CONTAINERPATH", Value: "/data"}, {Key: "DVDI_VOLUME_OPTS", Value: "size=" + text},
		})
		for door, err := range map[string]error{"dvdcli": err, "CSI": csiErr, "DVDI": labelErr} {
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s, %s: got %v, want %s", door, text, err, want)
			}
		}
	}
}
