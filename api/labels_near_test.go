package api_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/api"
)

func TestNearestLabelKnowsWhatWasMeant(t *testing.T) {
	for key, want := range map[string]string{
		"flocker.volume.Data":             "flocker.volume.data",
		"flocker.volume.pg-data":          "flocker.volume.pgdata",
		"flocker.volume.data.sise":        "flocker.volume.data.size",
		"flocker.volume.data.path":        "flocker.volume.data",
		"flocker.volume.DATA.Size":        "flocker.volume.data.size",
		"flocker.volumes.data":            "flocker.volume.data",
		"flocker.volume.data":             "", // right
		"flocker.volume.data.size":        "",
		"flocker.volume.":                 "",
		"flocker.volume.data.temperature": "",
		"flocker.volume.日本":               "",
		"docker.volume.data":              "",
		"":                                "",
	} {
		if got, ok := api.NearestLabel(key); got != want || ok != (want != "") {
			t.Errorf("%s: got %q, %v, want %q", key, got, ok, want)
		}
	}
}

// almostLabels are keys that run a task without its volume, and what was meant.
var almostLabels = map[string]string{
	// a plural, an abbreviation, nothing
	"flocker.volumes.data":      "flocker.volume.data",
	"flocker.volumes.data.size": "flocker.volume.data.size",
	"flocker.vol.data":          "flocker.volume.data",
	"flocker.vols.data":         "flocker.volume.data",
	"flocker.volum.data":        "flocker.volume.data",
	"flocker.volume":            "",
	"flocker.volumes":           "",
	"flocker.vol":               "",
	"Flocker.Volume":            "",
	// upper case
	"Flocker.volume.data":      "flocker.volume.data",
	"flocker.Volume.data":      "flocker.volume.data",
	"FLOCKER.VOLUME.DATA":      "flocker.volume.data",
	"FLOCKER.VOLUME.DATA.SIZE": "flocker.volume.data.size",
	// separators
	"flocker-volume.data":      "flocker.volume.data",
	"flocker.volume-data":      "flocker.volume.data",
	"flocker_volume_data":      "flocker.volume.data",
	"flocker_volume_data_size": "flocker.volume.data.size",
	"FLOCKER_VOLUME_DATA":      "flocker.volume.data",
	"flocker/volume/data":      "flocker.volume.data",
	"flocker.volume/data":      "flocker.volume.data",
	"flocker:volume:data":      "flocker.volume.data",
	"flocker volume data":      "flocker.volume.data",
	"flocker..volume.data":     "flocker.volume.data",
	".flocker.volume.data":     "flocker.volume.data",
	" flocker.volume.data":     "flocker.volume.data",
	"flocker .volume. data":    "flocker.volume.data",
	"flockervolume.data":       "flocker.volume.data",
	"flockervolume.data.size":  "flocker.volume.data.size",
	"flocker.volumedata":       "flocker.volume.data",
	"flockerVolumeData":        "flocker.volume.data",
	"flo.cker.volume.data":     "flocker.volume.data",
	"flocker-volume-pg-data":   "",
	"flockervolume":            "",
	// typing errors
	"floker.volume.data":             "flocker.volume.data",
	"flokcer.volume.data":            "flocker.volume.data",
	"floccer.volume.data":            "flocker.volume.data",
	"fl0cker.volume.data":            "flocker.volume.data",
	"flockers.volume.data":           "flocker.volume.data",
	"lfocker.volume.data":            "flocker.volume.data",
	"glocker.volume.data":            "flocker.volume.data",
	"flokr.volume.data":              "flocker.volume.data",
	"flocker.voulme.data":            "flocker.volume.data",
	"flocker.volumne.data":           "flocker.volume.data",
	"flocker.vollumes.data":          "flocker.volume.data",
	"floker.volumes.data":            "flocker.volume.data",
	"floker.vol.data":                "flocker.volume.data",
	"flocer.volumes.data":            "flocker.volume.data",
	"flocer.volum.data":              "flocker.volume.data",
	"flocer.vol.data":                "flocker.volume.data",
	"flocker.vlme.data":              "flocker.volume.data",
	"flockervol.data":                "flocker.volume.data",
	"FLOCKERVOLS_DATA":               "flocker.volume.data",
	"flockervol":                     "",
	"Floker_Volumes_Data_Sise":       "flocker.volume.data.size",
	"flocker.volumes.my_data":        "",
	"flocker.volumes.data.colour":    "",
	"flocker.volumes.data.size.max":  "",
	"flocker.vo\u200blume.data":      "flocker.volume.data",
	"fl\u043ecker.volume.data":       "flocker.volume.data", // a Cyrillic o
	"flocker.volume\u00a0.data":      "flocker.volume.data",
	"flocker.volumes.\u65e5\u672c":   "",
	"flocker.volumes." + longKey:     "",
	"flocker.volumes.data.path":      "flocker.volume.data",
	"flocker.volumes.data.NAME":      "flocker.volume.data.name",
	"flocker.volumes.data.permision": "flocker.volume.data.permissions",
}

var longKey = strings.Repeat("k", 65)

// othersLabels are keys that no task is refused for.
var othersLabels = []string{
	"", ".", "team", "flocker", "Flocker", "flocker.", "flocker.io", "flocker.io/team", "flocker.io/volume.data", "flocker.version", "flocker.enabled",
	"flocker.owner", "flocker.value.data", "flocker.column.data", "flocker.vote.data", "flocker.v.data", "flocker.data",
	"app.flocker.volume.data", "com.clusterhq.flocker.volume", "backup/flocker.volume.data", "my-flocker-volume",
	"docker.volume.data", "docker.volumes", "Docker-Volume-Data", "folder.volume.data", "locker.volume.data", "blocker.volume.data",
	"flicker.volume.data", "flower.volume.data", "floater.volume.data", "flooder.volume.data", "flock.volume.data", "rocker.volume.data",
	"locker.volumes.data", "blockervol.data", "lockervol", "flower.vols.data", "flockervolt.data", "flocker.volt.data", "flocker.volatile", "frevol",
	"com.example.flocker.volume", "com.example.flocker.volume.data", "io.flocker.volumes.data", "traefik.http.routers.flocker.rule",
	"HAPROXY_0_FLOCKER_VOLUME", "flocker-control.port", "flocker.vault.data", "follower.volume.data",
	"volume.data", "volumes", "volume", "volume.flocker.data", "storage.volume.data", "portworx.volume.data", "rexray.volume.data",
	"traefik.enable", "HAPROXY_0_VHOST", "MARATHON_SINGLE_INSTANCE_APP", "DCOS_PACKAGE_NAME", "VIP_0", "日本.volume.data",
}

func TestAlmostLabelsAreToldFromOthers(t *testing.T) {
	for key, want := range almostLabels {
		if got, ok := api.AlmostLabel(key); got != want || !ok {
			t.Errorf("%q: got %q, %v, want %q", key, got, ok, want)
		}
	}
	for _, key := range append(slices.Clone(othersLabels), "flocker.volume.data", "flocker.volume.data.sise", "flocker.volume.") {
		if got, ok := api.AlmostLabel(key); ok {
			t.Errorf("%q: got %q, want none", key, got)
		}
	}
}

// One typing error anywhere in the first two parts is found: a letter that is left
// out, put in, another one, or swapped. All that is passed over is listed here.
func TestEveryTypingErrorOfOneLetterIsRefused(t *testing.T) {
	const right = "flocker.volume.data"
	head := strings.TrimSuffix(api.LabelPrefix, ".")
	passed := []string{"locker.volume.data", "blocker.volume.data", "clocker.volume.data", "flicker.volume.data"}
	try := func(key string) {
		if strings.HasPrefix(key, api.LabelPrefix) || slices.Contains(passed, strings.ToLower(strings.TrimLeft(key, ":;<=>?@[\\]^_`"))) {
			return
		}
		if label, ok := api.AlmostLabel(key); !ok {
			t.Errorf("%q: got no label", key)
		} else if label != "" && !strings.HasPrefix(label, api.LabelPrefix) {
			t.Errorf("%q: got %q", key, label)
		}
	}
	for i := range len(head) {
		try(right[:i] + right[i+1:])
		if i+1 < len(head) {
			try(right[:i] + right[i+1:i+2] + right[i:i+1] + right[i+2:])
		}
		for c := byte('0'); c <= 'z'; c++ {
			try(right[:i] + string(c) + right[i+1:])
			try(right[:i] + string(c) + right[i:])
		}
		try(right[:i] + strings.ToUpper(right[i:i+1]) + right[i+1:])
	}
}

func TestParseVolumesRefusesLabelsThatAreAlmostOurs(t *testing.T) {
	for key, near := range almostLabels {
		want := fmt.Sprintf("%s: the label asks for no volume, and its value is %q: ", key, "/srv/x")
		if near == "" {
			want += "labels for volumes are flocker.volume.KEY and flocker.volume.KEY.SETTING, such as flocker.volume.data"
		} else {
			want += "did you mean " + near + "?"
		}
		_, _, err := api.ParseVolumes("/app", []api.Label{{Key: "team", Value: "db"}, {Key: key, Value: "/srv/x"}}, nil)
		if err == nil || err.Error() != want || api.CodeOf(err) != api.CodeInvalid {
			t.Errorf("%q: got %v\nwant %s", key, err, want)
		}
	}
	for _, key := range othersLabels {
		if got, _, err := api.ParseVolumes("/app", []api.Label{{Key: key, Value: "/srv/x"}}, nil); err != nil || len(got) > 0 {
			t.Errorf("%q: got %v, %v, want neither a volume nor an error", key, got, err)
		}
	}
}

// Marathon's variables are the only road that a pod's labels take.
func TestParseVolumesRefusesVariablesOfLabelsThatAreAlmostOurs(t *testing.T) {
	const prefix = "MARATHON_APP_LABEL_"
	for _, name := range []string{"FLOCKER_VOLUMES_DATA", "FLOKER_VOLUME_DATA", "FLOCKER_VOL_DATA_SIZE", "FLOCKERVOLUME_DATA", "FLOCKER_VOLUME"} {
		_, _, err := api.ParseVolumes("/app", nil, env(prefix+name, "/data"))
		mistake, ok := errors.AsType[*api.Error](err)
		if !ok || mistake.Field != prefix+name || !strings.Contains(mistake.Message, `its value is "/data": `) {
			t.Errorf("%s: got %v", name, err)
		}
	}
	for _, vs := range [][]api.Label{
		env(prefix+"FLOCKER_IO_TEAM", "x", prefix+"DOCKER_VOLUME_DATA", "y", "MARATHON_APP_LABELS", "FLOCKER_VOLUMES_DATA"),
		env("FLOCKER_VOLUMES_DATA", "x", "FLOCKER_VOLUME_DATA", "x"), // the app's own variables
	} {
		if got, _, err := api.ParseVolumes("/app", nil, vs); err != nil || len(got) > 0 {
			t.Errorf("%v: got %v, %v, want neither a volume nor an error", vs, got, err)
		}
	}
	_, _, err := api.ParseVolumes("/app", []api.Label{{Key: "flocker.volumes.data", Value: "/data"}}, env(prefix+"FLOCKER_VOLUMES_DATA", "/data"))
	if want := `flocker.volumes.data: the label asks for no volume, and its value is "/data": did you mean flocker.volume.data?`; err == nil || err.Error() != want {
		t.Errorf("got %v, want the label's mistake once", err)
	}
}

func FuzzAlmostLabelIsNoLabel(f *testing.F) {
	for key := range almostLabels {
		f.Add(key)
	}
	for _, key := range othersLabels {
		f.Add(key)
	}
	f.Add("flocker.volume.\xff")
	f.Fuzz(func(t *testing.T, key string) {
		almost, refused := api.AlmostLabel(key)
		if strings.HasPrefix(key, api.LabelPrefix) && refused {
			t.Errorf("%q is ours, and almost %q", key, almost)
		}
		if near, ok := api.NearestLabel(key); ok {
			if again, more := api.NearestLabel(near); more || !strings.HasPrefix(near, api.LabelPrefix) || near == key {
				t.Errorf("%q: got %q, and of that %q", key, near, again)
			}
		}
		if refused && almost != "" {
			if _, more := api.AlmostLabel(almost); more {
				t.Errorf("%q: got %q, which is no label", key, almost)
			}
		}
		// What is refused has the letters of flocker and of an abbreviation of volume, but for the edits.
		missing := 0
		for _, c := range "flockervl" {
			if !strings.ContainsRune(strings.ToLower(key), c) {
				missing++
			}
		}
		if refused && missing > 2 {
			t.Errorf("%q is refused, and is far from a label", key)
		}
	})
}

func BenchmarkLabelsOfOthers(b *testing.B) {
	for _, near := range []struct{ name, label, variable string }{
		{"far", "HAPROXY_%d_VHOST", "MARATHON_APP_LABEL_HAPROXY_%d_VHOST"},
		{"near", "flocker.io/team-%d", "MARATHON_APP_LABEL_FLOCKER_IO_TEAM_%d"},
	} {
		b.Run(near.name, func(b *testing.B) {
			var ls, vs []api.Label
			for i := range 20 {
				ls = append(ls, api.Label{Key: fmt.Sprintf(near.label, i), Value: "x"})
				vs = append(vs, api.Label{Key: fmt.Sprintf(near.variable, i), Value: "x"})
			}
			for b.Loop() {
				if _, _, err := api.ParseVolumes("/app", ls, vs); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
