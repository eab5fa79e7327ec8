package api_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/api"
)

// labels makes labels of keys and values in turn. A key is what follows
// api.LabelPrefix.
func labels(keysAndValues ...string) []api.Label {
	var ls []api.Label
	for i := 0; i < len(keysAndValues); i += 2 {
		ls = append(ls, api.Label{Key: api.LabelPrefix + keysAndValues[i], Value: keysAndValues[i+1]})
	}
	return ls
}

func TestParseVolumesReadsLabels(t *testing.T) {
	data := api.VolumeRequest{Key: "data", Path: "/data", Name: "prod.db.data"}
	with := func(change func(*api.VolumeRequest)) []api.VolumeRequest {
		v := data
		change(&v)
		return []api.VolumeRequest{v}
	}
	tests := []struct {
		name   string
		labels []api.Label
		want   []api.VolumeRequest
	}{
		{"path alone", labels("data", "/data"), with(func(*api.VolumeRequest) {})},
		{"path is cleaned", labels("data", " //data/./ "), with(func(*api.VolumeRequest) {})},
		{"relative path", labels("data", "db/data/"), with(func(v *api.VolumeRequest) { v.Path = "db/data" })},
		{"path in the sandbox", labels("data", "/mnt/mesos/sandbox/x"),
			with(func(v *api.VolumeRequest) { v.Path = "/mnt/mesos/sandbox/x" })},
		{"every setting", labels(
			"data", "/data", "data.name", "orders", "data.size", "20G", "data.profile", "gold",
			"data.fs", "xfs", "data.mode", "ro", "data.preempt", "true"),
			[]api.VolumeRequest{{Key: "data", Path: "/data", Name: "orders", Size: 20 << 30, Profile: "gold",
				FS: "xfs", ReadOnly: true, Preempt: true}}},
		{"settings before the path", labels("data.size", "20G", "data", "/data"),
			with(func(v *api.VolumeRequest) { v.Size = 20 << 30 })},
		{"default values said aloud", labels("data", "/data", "data.mode", "rw", "data.preempt", "false"),
			with(func(*api.VolumeRequest) {})},
		{"case as Marathon writes it", labels("data", "/data", "data.mode", "RO", "data.preempt", "True", "data.fs", "EXT4"),
			with(func(v *api.VolumeRequest) { v.ReadOnly, v.Preempt, v.FS = true, true, "ext4" })},
		{"each instance", labels("data", "/data", "data.each", "true"), with(func(v *api.VolumeRequest) { v.Each = api.EachInstance })},
		{"each of a number", labels("data", "/data", "data.each", "3"), with(func(v *api.VolumeRequest) { v.Each = 3 })},
		{"each of the largest number", labels("data", "/data", "data.each", " 1000 "), with(func(v *api.VolumeRequest) { v.Each = 1000 })},
		{"each on one line", labels("data", "path=/data,each=True"), with(func(v *api.VolumeRequest) { v.Each = api.EachInstance })},
		{"not each", labels("data", "/data", "data.each", "false"), with(func(*api.VolumeRequest) {})},
		{"each that would not preempt", labels("data", "/data", "data.each", "2", "data.preempt", "false"),
			with(func(v *api.VolumeRequest) { v.Each = 2 })},
		{"each, read-only", labels("data", "/data", "data.each", "2", "data.mode", "ro"),
			with(func(v *api.VolumeRequest) { v.Each, v.ReadOnly = 2, true })},
		{"one line", labels("data", "path=/data,name=orders-db,size=100G,profile=gold,mode=ro"),
			[]api.VolumeRequest{{Key: "data", Path: "/data", Name: "orders-db", Size: 100 << 30, Profile: "gold", ReadOnly: true}}},
		{"one line with spaces", labels("data", " path = /data , size = 1G "),
			with(func(v *api.VolumeRequest) { v.Size = 1 << 30 })},
		{"one line, path with an equals sign", labels("data", "path=/a=b"),
			with(func(v *api.VolumeRequest) { v.Path = "/a=b" })},
		{"both forms for different settings", labels("data", "path=/data", "data.size", "1G"),
			with(func(v *api.VolumeRequest) { v.Size = 1 << 30 })},
		{"several volumes, sorted", labels("log", "/log", "data", "/data", "0", "zero"), []api.VolumeRequest{
			{Key: "0", Path: "zero", Name: "prod.db.0"}, data, {Key: "log", Path: "/log", Name: "prod.db.log"}}},
		{"paths that only begin alike", labels("a", "/data", "b", "/data-2", "c", "/data2"), []api.VolumeRequest{
			{Key: "a", Path: "/data", Name: "prod.db.a"}, {Key: "b", Path: "/data-2", Name: "prod.db.b"},
			{Key: "c", Path: "/data2", Name: "prod.db.c"}}},
		{"one path relative, one absolute", labels("a", "data", "b", "/data"), []api.VolumeRequest{
			{Key: "a", Path: "data", Name: "prod.db.a"}, {Key: "b", Path: "/data", Name: "prod.db.b"}}},
		{"labels of others", []api.Label{{Key: "flocker", Value: "x"}, {Key: "flocker.io/team", Value: ""},
			{Key: "MARATHON_SINGLE_INSTANCE_APP", Value: "true"}}, nil},
		{"no labels", nil, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, _, err := api.ParseVolumes("/prod/db", tt.labels, nil)
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %+v\nwant %+v", got, tt.want)
			}
		})
	}
}

func TestParseVolumesRefusesMistakesInLabels(t *testing.T) {
	long := strings.Repeat("x", 257)
	tests := []struct {
		name   string
		labels []api.Label
		field  string // of the first mistake, after api.LabelPrefix
		want   string
	}{
		{"misspelt setting", labels("data", "/data", "data.sise", "1G"), "data.sise", `"sise" is not a setting of a volume: did you mean size?`},
		{"unknown setting", labels("data", "/data", "data.colour", "red"), "data.colour", "it can be path, name, size"},
		{"misspelt setting in one line", labels("data", "path=/data,nmae=x"), "data", "did you mean name?"},
		{"setting of a setting", labels("data", "/data", "data.size.max", "1G"), "data.size.max", `"size.max" is not a setting`},
		{"no setting after the point", labels("data", "/data", "data.", "1G"), "data.", `"" is not a setting`},
		{"path as a setting", labels("data", "/data", "data.path", "/x"), "data.path", "the path goes into flocker.volume.data itself"},
		{"key with a dash", labels("my-data", "/data"), "my-data", `"my-data" can't name a volume`},
		{"key in upper case", labels("Data", "/data"), "Data", "lower-case letters and digits"},
		{"no key", labels("", "/data"), "", `"" can't name a volume`},
		{"label twice", labels("data", "/data", "data", "/data"), "data", "twice"},
		{"setting twice", labels("data", "path=/data,size=1G,size=2G"), "data", `size is given twice, as "1G" and as "2G"`},
		{"both forms for one setting", labels("data", "path=/data,size=1G", "data.size", "2G"), "data.size",
			`size is given twice, as "2G" and, in flocker.volume.data, as "1G"`},
		{"size without a path", labels("data.size", "1G"), "data.size", "flocker.volume.data is missing"},
		{"one line without a path", labels("data", "size=1G"), "data", "the path is missing"},
		{"one line with an empty item", labels("data", "path=/data,,size=1G"), "data", `"" in "path=/data,,size=1G" is not a setting`},
		{"one line with a bare word", labels("data", "path=/data,ro"), "data", `"ro" in`},
		{"path with an equals sign", labels("data", "/a=b"), "data", `"/a" is not a setting`},
		{"empty path", labels("data", ""), "data", `path "" is empty`},
		{"root", labels("data", "/"), "data", "hide the whole container"},
		{"root by another name", labels("data", "//."), "data", "hide the whole container"},
		{"sandbox", labels("data", "."), "data", "hide the whole container"},
		{"sandbox by its path", labels("data", "/mnt/mesos/sandbox/"), "data", "hide the sandbox"},
		{"above the sandbox", labels("data", "/mnt"), "data", "hide the sandbox"},
		{"proc", labels("data", "/proc/x"), "data", "the kernel's"},
		{"path upwards", labels("data", "../x"), "data", "leads upwards"},
		{"path upwards inside", labels("data", "/a/../b"), "data", "leads upwards"},
		{"path with NUL", labels("data", "/a\x00b"), "data", "control character"},
		{"path with a newline", labels("data", "/a\nb"), "data", "control character"},
		{"path that is not UTF-8", labels("data", "/a\xff"), "data", "UTF-8"},
		{"long path", labels("data", "/"+strings.Repeat("a/", 600)), "data", "longer than 1024 bytes"},
		{"long path element", labels("data", "/"+long), "data", "longer than 255 bytes"},
		{"one path twice", labels("a", "/data", "b", "/data/"), "b", `path "/data" is also flocker.volume.a's`},
		{"a path inside another", labels("a", "/data", "b", "/data/b"), "b", `inside flocker.volume.a's, "/data"`},
		{"inside, not next in order", labels("a", "/data", "b", "/data/b", "c", "/data/c"), "c", `inside flocker.volume.a's`},
		{"in the sandbox twice", labels("a", "data", "b", "/mnt/mesos/sandbox/data"), "b", "is also flocker.volume.a's"},
		{"one name twice", labels("a", "/a", "a.name", "db", "b", "/b", "b.name", "db"), "b.name", `"db" is also flocker.volume.a.name's`},
		{"name of another by default", labels("a", "/a", "b", "/b", "b.name", "prod.db.a"), "b.name", "is also flocker.volume.a's"},
		{"empty name", labels("data", "/data", "data.name", " "), "data.name", `name "" is empty`},
		{"long name", labels("data", "/data", "data.name", long), "data.name", "too long"},
		{"bad size", labels("data", "/data", "data.size", "20Q"), "data.size", `size "20Q" is not a size`},
		{"small size", labels("data", "/data", "data.size", "20"), "data.size", "too small"},
		{"bad file system", labels("data", "/data", "data.fs", "ext3"), "data.fs", "did you mean ext4?"},
		{"unknown file system", labels("data", "/data", "data.fs", "btrfs"), "data.fs", "it can be ext4 or xfs"},
		{"bad mode", labels("data", "/data", "data.mode", "readonly"), "data.mode", "it can be rw or ro"},
		{"bad preempt", labels("data", "/data", "data.preempt", "yes"), "data.preempt", "it can be true or false"},
		{"each of none", labels("data", "/data", "data.each", "0"), "data.each", `each "0" is not possible: write true`},
		{"each of less than none", labels("data", "/data", "data.each", "-1"), "data.each", "from 1 to 1000"},
		{"each of too many", labels("data", "/data", "data.each", "1001"), "data.each", "from 1 to 1000"},
		{"bad each", labels("data", "/data", "data.each", "yes"), "data.each", "write true for a volume for each instance"},
		{"each that preempts", labels("data", "/data", "data.each", "true", "data.preempt", "true"), "data.preempt", "does not go with each"},
		{"each, long name", labels("data", "/data", "data.each", "3", "data.name", strings.Repeat("n", 253)), "data.name", "too long for each"},
		{"each misspelt", labels("data", "/data", "data.eech", "3"), "data.eech", "did you mean each?"},
		{"empty profile", labels("data", "/data", "data.profile", ""), "data.profile", "empty"},
		{"long profile", labels("data", "/data", "data.profile", long), "data.profile", "longer than 256"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, _, err := api.ParseVolumes("/prod/db", tt.labels, nil)
			if err == nil {
				t.Fatalf("got %+v, want an error", got)
			}
			var mistakes api.Mistakes
			if !errors.As(err, &mistakes) || api.CodeOf(err) != api.CodeInvalid {
				t.Fatalf("got %#v, want Mistakes", err)
			}
			for _, m := range mistakes {
				if m.Field == api.LabelPrefix+tt.field && strings.Contains(m.Message, tt.want) {
					return
				}
			}
			t.Errorf("got %v\nwant %s: ... %s", err, api.LabelPrefix+tt.field, tt.want)
		})
	}
}

func TestParseVolumesReportsOneMistakeOnce(t *testing.T) {
	for _, ls := range [][]api.Label{
		labels("data", "path=/data,nmae=x"),
		labels("data", ""),
		labels("data", "/data", "data.size", ""),
		labels("data", "pfad=/data"),
		labels("data.size", "1G", "data.fs", "xfs"),
		labels("data", "/a\x00b", "data.name", "db"),
	} {
		_, _, err := api.ParseVolumes("/prod/db", ls, nil)
		var m api.Mistakes
		if !errors.As(err, &m) || len(m) != 1 {
			t.Errorf("%v: got %v, want one mistake", ls, err)
		}
	}
}

func TestParseVolumesReportsAllMistakesInOneText(t *testing.T) {
	_, _, err := api.ParseVolumes("", labels("data", "/data", "data.size", "3", "log", "../x", "log.sise", "1G"), nil)
	want := `4 mistakes: (1) flocker.volume.data: the volume needs a name, because the task has no Marathon app id to ` +
		`make one from: set flocker.volume.data.name; (2) flocker.volume.data.size: size "3" is too small: the smallest ` +
		`size is 64MiB, and a number without a unit is of bytes; write the unit, as in 3GiB; (3) flocker.volume.log: path "../x" leads upwards: write it without ".."; ` +
		`(4) flocker.volume.log.sise: "sise" is not a setting of a volume: did you mean size?`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
	if e := api.AsError(err); e.Code != api.CodeInvalid || e.Message != want {
		t.Errorf("got %+v", e)
	}
}

func TestParseVolumesMakesNamesFromTheApp(t *testing.T) {
	for app, want := range map[string]string{
		"/prod/orders-db": "prod.orders-db.data",
		"/db":             "db.data",
		"db":              "db.data",
	} {
		got, _, err := api.ParseVolumes(app, labels("data", "/data"), nil)
		if err != nil || got[0].Name != want {
			t.Errorf("%s: got %v, %v, want %s", app, got, err, want)
		}
	}
	for _, app := range []string{"", "/", "/" + strings.Repeat("x", 260), "/a\nb"} {
		if got, _, err := api.ParseVolumes(app, labels("data", "/data"), nil); err == nil {
			t.Errorf("%q: got %v, want an error", app, got)
		}
	}
}

func TestParseVolumesBoundsItsMessages(t *testing.T) {
	many := strings.Repeat(",", 100_000)
	for name, ls := range map[string][]api.Label{
		"one line":    labels("data", "path=/data"+many),
		"path":        labels("data", "/"+many),
		"setting":     labels("data."+many, "x"),
		"key":         labels(many, "x"),
		"short items": labels("data", "path=/data"+many[:4000]),
	} {
		_, _, err := api.ParseVolumes("/app", ls, nil)
		if err == nil || len(err.Error()) > 16<<10+len(ls[0].Key) {
			t.Errorf("%s: got %d bytes", name, len(err.Error()))
		}
	}
}

func FuzzParseVolumesFromLabels(f *testing.F) {
	f.Add("/prod/db", "data", "/data", "data.size", "20G", "log", "path=log,mode=ro")
	f.Add("", "data", "path=/a,name=x", "data.name", "y", "data.fs", "xfs")
	f.Add("/x", "a", "/mnt/mesos", "b", "../..", "c", "/a/\x00")
	f.Fuzz(func(t *testing.T, app, k1, v1, k2, v2, k3, v3 string) {
		volumes, _, err := api.ParseVolumes(app, labels(k1, v1, k2, v2, k3, v3), nil)
		checkVolumes(t, volumes, err)
		if err == nil && len(volumes) == 0 {
			t.Error("labels of ours were ignored")
		}
	})
}

func FuzzParseVolumesFromOneLine(f *testing.F) {
	f.Add("path=/data,name=orders-db,size=100G,profile=gold,mode=rw")
	f.Add("path=/data=x,,")
	f.Add("=,=,path=")
	f.Fuzz(func(t *testing.T, value string) {
		volumes, _, err := api.ParseVolumes("/app", labels("data", value), nil)
		checkVolumes(t, volumes, err)
	})
}

// checkVolumes states what every answer of ParseVolumes keeps to.
func checkVolumes(t *testing.T, volumes []api.VolumeRequest, err error) {
	t.Helper()
	if err != nil {
		var mistakes api.Mistakes
		if !errors.As(err, &mistakes) || len(mistakes) == 0 || volumes != nil {
			t.Fatalf("got %#v with %v", err, volumes)
		}
		for _, m := range mistakes {
			if m.Field == "" || m.Message == "" || m.Code != api.CodeInvalid || strings.ContainsAny(m.Message, "\x00\n") {
				t.Errorf("got %+v", m)
			}
		}
		return
	}
	paths, names := map[string]bool{}, map[string]bool{}
	for _, v := range volumes {
		if paths[v.Path] || names[v.Name] {
			t.Errorf("path or name twice in %+v", volumes)
		}
		paths[v.Path], names[v.Name] = true, true
		if v.Key == "" || v.Name == "" || v.Path == "" || strings.Contains("/"+v.Path+"/", "/../") ||
			strings.Contains(v.Path, "//") || strings.ContainsAny(v.Path+v.Name, "\x00\n") {
			t.Errorf("got %+v", v)
		}
		if v.Size != 0 && (v.Size < api.MinSize || v.Size%api.SizeMultiple != 0) {
			t.Errorf("got %+v", v)
		}
		if v.FS != "" && v.FS != api.FSExt4 && v.FS != api.FSXFS {
			t.Errorf("got %+v", v)
		}
	}
}
