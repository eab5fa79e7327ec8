package api_test

import (
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/api"
)

func TestNearestLabelKnowsWhatWasMeant(t *testing.T) {
	for key, want := range map[string]string{
		"flocker.volumes.data":            "flocker.volume.data",
		"Flocker.Volume.data":             "flocker.volume.data",
		"flokcer.volume.data":             "flocker.volume.data",
		"flocker-volume-data":             "flocker.volume.data",
		"flocker_volume_data_size":        "flocker.volume.data.size",
		"flocker.volume.Data":             "flocker.volume.data",
		"flocker.volume.pg-data":          "flocker.volume.pgdata",
		"flocker.volume.data.sise":        "flocker.volume.data.size",
		"flocker.volume.data.path":        "flocker.volume.data",
		"flocker.volume.DATA.Size":        "flocker.volume.data.size",
		"flocker.volume.data":             "", // right
		"flocker.volume.data.size":        "",
		"flocker.volume.":                 "",
		"flocker.volume.data.temperature": "",
		"flocker.version":                 "", // others'
		"docker.volume.data":              "",
		"flocker":                         "",
		"team":                            "",
		"":                                "",
		"flocker.volume.日本":               "",
	} {
		if got, ok := api.NearestLabel(key); got != want || ok != (want != "") {
			t.Errorf("%s: got %q, %v, want %q", key, got, ok, want)
		}
	}
}

func FuzzNearestLabelIsALabel(f *testing.F) {
	for _, key := range []string{"flocker.volumes.data", "flocker.volume.D.sise", "flocker.volume.\xff", "x"} {
		f.Add(key)
	}
	f.Fuzz(func(t *testing.T, key string) {
		label, ok := api.NearestLabel(key)
		if !ok {
			return
		}
		if again, more := api.NearestLabel(label); more || !strings.HasPrefix(label, api.LabelPrefix) || label == key {
			t.Errorf("%q: got %q, and of that %q", key, label, again)
		}
	})
}
