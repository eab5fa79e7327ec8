package check_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/marathon/check"
)

func parse(t testing.TB, text string) *check.Document {
	t.Helper()
	d, err := check.Parse("app.json", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// fixed mends a text, and makes sure that nothing is left which could be mended.
func fixed(t *testing.T, text string) string {
	t.Helper()
	return fixedIn(t, &check.Context{}, text)
}

// fixedIn is fixed in a world of which something is known.
func fixedIn(t *testing.T, c *check.Context, text string) string {
	t.Helper()
	mended, done, left, err := check.Fix(parse(t, text), c)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range left {
		if len(f.Patch) > 0 {
			t.Errorf("left %s: %s", f.Rule, f.What)
		}
	}
	if broken(check.Check([]*check.Document{parse(t, text)}, c), done, left) {
		t.Errorf("cannot be read any more: %s", mended)
	}
	again, more, _, err := check.Fix(parse(t, string(mended)), c)
	if err != nil || len(more) > 0 || string(again) != string(mended) {
		t.Errorf("mended again: %v, %v\n%s", err, more, again)
	}
	return string(mended)
}

// broken reports whether mending has left something that cannot be read. What has got
// its right name was not read before.
func broken(before, done, left []check.Finding) bool {
	has := func(findings []check.Finding, rule string) bool {
		return slices.ContainsFunc(findings, func(f check.Finding) bool { return f.Rule == rule })
	}
	return has(left, "unreadable") && !has(before, "unreadable") && !has(done, "misspelt-setting")
}

func TestFixKeepsTheFormOfWhatItDoesNotMend(t *testing.T) {
	for _, tc := range []struct{ name, text, want string }{
		{"nothing to mend", "{ \"id\":\"/web\" ,\n\t\"cpus\" : 1.50 }\n", "{ \"id\":\"/web\" ,\n\t\"cpus\" : 1.50 }\n"},
		{
			"lines",
			"{\n  \"id\": \"/db\",\n  \"labels\": {\n    \"flocker.volume.data\": \"data\"\n  },\n  \"cpus\": 1.0\n}\n",
			"{\n  \"id\": \"/db\",\n  \"labels\": {\n    \"flocker.volume.data\": \"data\",\n    \"MARATHON_SINGLE_INSTANCE_APP\": \"true\"\n  },\n" +
				"  \"cpus\": 1.0,\n  \"upgradeStrategy\": {\n    \"minimumHealthCapacity\": 0,\n    \"maximumOverCapacity\": 0\n  }\n}\n",
		},
		{
			"one line",
			`{"id":"/db","labels":{"flocker.volume.data":"data"}}`,
			`{"id":"/db","labels":{"flocker.volume.data":"data","MARATHON_SINGLE_INSTANCE_APP":"true"},` +
				`"upgradeStrategy":{"minimumHealthCapacity":0,"maximumOverCapacity":0}}`,
		},
		{
			"one line with spaces",
			`{"id": "/db", "labels": {"flocker.volume.data": "data"}}`,
			`{"id": "/db", "labels": {"flocker.volume.data": "data", "MARATHON_SINGLE_INSTANCE_APP": "true"}, ` +
				`"upgradeStrategy": {"minimumHealthCapacity": 0, "maximumOverCapacity": 0}}`,
		},
		{
			"tabs, and Windows' ends of lines",
			"{\r\n\t\"id\": \"/db\",\r\n\t\"labels\": {" + single[:len(single)-2] + ", \"flocker.volume.data\": \"data\"}\r\n}",
			"{\r\n\t\"id\": \"/db\",\r\n\t\"labels\": {" + single[:len(single)-2] + ", \"flocker.volume.data\": \"data\"},\r\n" +
				"\t\"upgradeStrategy\": {\r\n\t\t\"minimumHealthCapacity\": 0,\r\n\t\t\"maximumOverCapacity\": 0\r\n\t}\r\n}",
		},
		{
			"a label's name and place",
			labelled(`"flocker.volumes.Data": "data", ` + single + `"team": "<x&y>"`),
			labelled(`"flocker.volume.data": "data", ` + single + `"team": "<x&y>"`),
		},
		{
			"a number as a label",
			labelled(single + onVolume + `, "flocker.volume.data.size": 1073741824`),
			labelled(single + onVolume + `, "flocker.volume.data.size": "1073741824"`),
		},
		{
			"a value",
			app(`"unreachableStrategy": "disabled", `),
			app(`"unreachableStrategy": {"inactiveAfterSeconds": 0, "expungeAfterSeconds": 0}, `),
		},
		{
			"an empty object in lines",
			"{\n   \"id\": \"/db\",\n   \"containers\": [\n      {\"labels\": {\"flocker.volume.data\": \"data\"}}\n   ],\n   \"scheduling\": {}\n}",
			"{\n   \"id\": \"/db\",\n   \"containers\": [\n      {\"labels\": {\"flocker.volume.data\": \"data\"}}\n   ],\n   \"scheduling\": {\n" +
				"      \"upgrade\": {\n         \"minimumHealthCapacity\": 0,\n         \"maximumOverCapacity\": 0\n      }\n   }\n}",
		},
		{
			"null in the place of an object",
			`{"id": "/db", "labels": {` + onVolume + `}, "upgradeStrategy": null}`,
			`{"id": "/db", "labels": {` + onVolume + `, "MARATHON_SINGLE_INSTANCE_APP": "true"}, "upgradeStrategy": ` + zero + `}`,
		},
		{
			"what is removed last in its object",
			dvdi(`"options": {"dvdi/driver": "flocker"}, "shared": true`),
			dvdi(`"options": {"dvdi/driver": "flocker"}`),
		},
		{
			"what is removed first",
			dvdi(`"size": 5, "options": {"dvdi/size": "5", "dvdi/driver": "flocker"}`),
			dvdi(`"size": 5, "options": {"dvdi/driver": "flocker"}`),
		},
		{
			"a setting of one container of a pod",
			`{"id": "/p", "containers": [{"name": "web"}, {"name": "redis", "labels": {` + onVolume + `}, "lifecycle": {"killGracePeriodSeconds": 0}}], "scheduling": {"upgrade": ` + zero + `}}`,
			`{"id": "/p", "containers": [{"name": "web"}, {"name": "redis", "labels": {` + onVolume + `}, "lifecycle": {"killGracePeriodSeconds": 30}}], "scheduling": {"upgrade": ` + zero + `}}`,
		},
		{
			"a label of one container of a pod",
			`{"id": "/p", "containers": [{"name": "a", "labels": {` + onVolume + `, "flocker.volume.data.preempt": true}}], "scheduling": {"upgrade": ` + zero + `}}`,
			`{"id": "/p", "containers": [{"name": "a", "labels": {` + onVolume + `, "flocker.volume.data.preempt": "true"}}], "scheduling": {"upgrade": ` + zero + `}}`,
		},
		{
			"an app's strategy in a pod",
			`{"id": "/p", "upgradeStrategy": ` + zero + `, "containers": [{"labels": {` + onVolume + `}}]}`,
			`{"id": "/p", "containers": [{"labels": {` + onVolume + `}}], "scheduling": {"upgrade": ` + zero + `}}`,
		},
		{
			"Docker's containerizer, with what Marathon adds",
			strings.Replace(withMount("/log"), `"MESOS", "docker": {"image": "x"}`, `"DOCKER", "docker": {"image": "x", "parameters": [], "privileged": false}`, 1),
			strings.Replace(withMount("/log"), `"MESOS", "docker": {"image": "x"}`, `"MESOS", "docker": {"image": "x", "parameters": [], "privileged": false}`, 1),
		},
		{
			"what an external volume does without",
			csi(``),
			csi(access),
		},
		{
			"options of external volumes",
			dvdi(`"options": {"dvdi/driver": "flocker", "dvdi/reclam": "delete"}`),
			dvdi(`"options": {"dvdi/driver": "flocker", "dvdi/reclaim": "delete"}`),
		},
		{
			"a context of a CSI volume",
			csi(access + `, "volumeContext": {"profil": "gold"}`),
			csi(access + `, "volumeContext": {"profile": "gold"}`),
		},
		{
			"one app of a group",
			`{"id": "/prod", "apps": [{"id": "web"}], "groups": [{"id": "shop", "apps": [{"id": "db", "labels": {` + single + onVolume + `}}]}]}`,
			`{"id": "/prod", "apps": [{"id": "web"}], "groups": [{"id": "shop", "apps": [{"id": "db", "labels": {` + single + onVolume + `}, "upgradeStrategy": ` + zero + `}]}]}`,
		},
		{
			"more members",
			set(`, "flocker.volume.data.each": "2"`, rolling),
			set(`, "flocker.volume.data.each": "3"`, rolling),
		},
		{
			"of a set one after the other",
			set(each, `, "upgradeStrategy": {"minimumHealthCapacity": 0.3, "maximumOverCapacity": 1}`),
			set(each, `, "upgradeStrategy": {"minimumHealthCapacity": 0.3, "maximumOverCapacity": 0}`),
		},
		{
			"one thing that shows the next",
			`{"id": "/db", "lables": {"flocker.volumes.data": "data"}, "upgradestrategy": ` + zero + `}`,
			`{"id": "/db", "labels": {"flocker.volume.data": "data", "MARATHON_SINGLE_INSTANCE_APP": "true"}, "upgradeStrategy": ` + zero + `}`,
		},
		{
			"nothing where two things could be meant",
			`{"id": "/db", "instances": 3, "labels": {` + onVolume + `}, "upgradeStrategy": ` + zero + `}`,
			`{"id": "/db", "instances": 3, "labels": {` + onVolume + `}, "upgradeStrategy": ` + zero + `}`,
		},
		{
			"no label whose right name is taken",
			labelled(single + onVolume + `, "flocker.volumes.data": "other"`),
			labelled(single + onVolume + `, "flocker.volumes.data": "other"`),
		},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := fixed(t, tc.text); got != tc.want {
				t.Errorf("got\n%s\nwant\n%s", got, tc.want)
			}
		})
	}
}

func TestFixWritesTheFileSystemThatACSIVolumeHas(t *testing.T) {
	of := func(fs string) string { return strings.Replace(access, "ext4", fs, 1) }
	xfs := check.Context{Datasets: map[string]check.Dataset{"db": {FS: "xfs"}}}
	for _, tc := range []struct {
		name, text, want string
		context          check.Context
	}{
		{"of a new one", csi(noFS), csi(access), check.Context{}},
		{"of one that exists", csi(noFS), csi(of("xfs")), xfs},
		{"of one whose context says it", csi(noFS + `, "volumeContext": {"fs": "XFS"}`), csi(of("xfs") + `, "volumeContext": {"fs": "XFS"}`), check.Context{}},
		{"of one that was a raw device", csi(strings.Replace(noFS, "mount", "block", 1)), csi(access), check.Context{}},
		{"that is there", csi(of("xfs")), csi(of("xfs")), check.Context{}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := fixedIn(t, &tc.context, tc.text); got != tc.want {
				t.Errorf("got\n%s\nwant\n%s", got, tc.want)
			}
		})
	}
}

func TestFixKeepsAnAppInTheZoneOfItsVolume(t *testing.T) {
	inA := dataset(0, "", "a")
	whole := func(constraints string) string {
		return `{"id": "/db", "labels": {` + single + onVolume + `}, "upgradeStrategy": ` + zero + constraints + `}`
	}
	lines := func(constraints string) string {
		return "{\n  \"id\": \"/db\",\n  \"labels\": {" + single + onVolume + "},\n  \"upgradeStrategy\": " + zero + constraints + "\n}\n"
	}
	pod := func(scheduling string) string {
		return `{"id": "/db", "containers": [{"labels": {` + onVolume + `}}], "scheduling": {"upgrade": ` + zero + scheduling + `}}`
	}
	for _, tc := range []struct {
		name, text, want string
		context          check.Context
	}{
		{"no constraint", whole(``), whole(`, "constraints": [["@zone", "IS", "a"]]`), inA},
		{"none yet", whole(`, "constraints": []`), whole(`, "constraints": [["@zone", "IS", "a"]]`), inA},
		{"null", whole(`, "constraints": null`), whole(`, "constraints": [["@zone", "IS", "a"]]`), inA},
		{"beside another one", whole(`, "constraints": [["rack", "IS", "1"]]`), whole(`, "constraints": [["rack", "IS", "1"], ["@zone", "IS", "a"]]`), inA},
		{"in lines", lines(``), lines(",\n  \"constraints\": [[\"@zone\", \"IS\", \"a\"]]"), inA},
		{
			"behind others in lines", lines(",\n  \"constraints\": [\n    [\"rack\", \"IS\", \"1\"]\n  ]"),
			lines(",\n  \"constraints\": [\n    [\"rack\", \"IS\", \"1\"],\n    [\"@zone\", \"IS\", \"a\"]\n  ]"), inA,
		},
		{"of a pod", pod(``), pod(`, "placement": {"constraints": [{"fieldName": "@zone", "operator": "IS", "value": "a"}]}`), inA},
		{
			"of a pod beside another one", pod(`, "placement": {"constraints": [{"fieldName": "rack", "operator": "IS", "value": "1"}]}`),
			pod(`, "placement": {"constraints": [{"fieldName": "rack", "operator": "IS", "value": "1"}, {"fieldName": "@zone", "operator": "IS", "value": "a"}]}`), inA,
		},
		{"where zones are spoken of already", whole(`, "constraints": [["@zone", "GROUP_BY"]]`), whole(`, "constraints": [["@zone", "GROUP_BY"]]`), inA},
		{"where it may not run there", whole(`, "constraints": [["@zone", "IS", "b"]]`), whole(`, "constraints": [["@zone", "IS", "b"]]`), inA},
		{"where the zone is not known", whole(``), whole(``), dataset(0, "", "")},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := fixedIn(t, &tc.context, tc.text); got != tc.want {
				t.Errorf("got\n%s\nwant\n%s", got, tc.want)
			}
		})
	}
}

func TestFixMendsAllCasesOfRulesThatSayThatTheyMend(t *testing.T) {
	cases := ruleCases(t)
	for _, r := range check.Rules() {
		patches := 0
		for _, tc := range cases[r.ID] {
			for _, f := range check.Check([]*check.Document{parse(t, tc.text)}, &tc.context) {
				if f.Rule == r.ID && len(f.Patch) > 0 {
					patches++
				}
			}
			fixedIn(t, &tc.context, tc.text)
		}
		if (patches > 0) != r.Mends {
			t.Errorf("%s: %d findings have a patch, and the rule says %v", r.ID, patches, r.Mends)
		}
	}
}

func TestDefinitionsAreFoundInAllThatMarathonTakes(t *testing.T) {
	for text, want := range map[string]string{
		`{"id": "/a"}`:                         "/a",
		`{"id": "a/b"}`:                        "/a/b",
		`[{"id": "/a"}, {"id": "/b"}]`:         "/a /b",
		`{"apps": [{"id": "/a"}]}`:             "/a",
		`{"app": {"id": "/a"}}`:                "/a",
		`[{"id": "/p", "containers": []}]`:     "/p pod",
		`{"id": "/g", "apps": [], "pods": []}`: "",
		`{"id": "/g", "apps": [{"id": "a"}, {"id": "/x"}, {"id": "../y"}], "groups": [{"id": "h", "pods": [{"id": "p", "containers": [{}]}], "apps": null}]}`: "/g/a /x /y /g/h/p pod",
		`{"id": "/a", "cmd": "true", "groups": []}`: "/a",
	} {
		var got []string
		for _, d := range parse(t, text).Definitions {
			got = append(got, d.ID)
			if d.Pod {
				got = append(got, "pod")
			}
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: got %v, want %s", text, got, want)
		}
	}
}

func TestWhatIsNoDefinitionIsRefusedWithItsPlace(t *testing.T) {
	for text, want := range map[string]string{
		"":                                   "app.json:1:1: this is not JSON: unexpected end of JSON input",
		"{\n  \"id\": \"/a\",\n  \"日本\": x}": "app.json:3:9: this is not JSON: invalid character 'x'",
		`{"id": "/a"} {}`:                    "app.json:1:14: this is not JSON",
		`{"id": "/a",}`:                      "app.json:1:13: this is not JSON",
		"// a comment\n{}":                   "app.json:1:1: this is not JSON",
		"\n\n [1]":                           "app.json:3:3: want an app, a pod, a group or a list of them, got 1",
		`"x"`:                                `app.json:1:1: want an app`,
		`{"cmd": "true"}`:                    `app.json:1:1: this is no app, pod or group: it has no id`,
		`{"id": "/g", "apps": {}}`:           `app.json:1:22: apps: want a list, got {}`,
	} {
		_, err := check.Parse("app.json", []byte(text))
		if _, ok := errors.AsType[*check.ParseError](err); !ok || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", text, err, want)
		}
	}
}

func TestFindingsSayWhereTheSettingIs(t *testing.T) {
	text := "[\n  {\"id\": \"/web\"},\n  {\n    \"id\": \"/db\",\n    \"labels\": {" + single + "\n      \"日本\": \"\", \"flocker.volume.data\": \"../x\"}\n  }\n]"
	var places []string
	for _, f := range check.Check([]*check.Document{parse(t, text)}, &check.Context{}) {
		places = append(places, fmt.Sprintf("%s %s %s:%d:%d %s", f.Rule, f.App, f.Source, f.Line, f.Column, f.Path))
	}
	want := []string{"label /db app.json:6:40 /labels/flocker.volume.data"}
	if !slices.Equal(places, want) {
		t.Errorf("got %q, want %q", places, want)
	}
}

func TestAppsOfOneFileAreComparedWithEachOther(t *testing.T) {
	one := labelled(single + `"flocker.volume.x": "path=x,name=same"`)
	d := parse(t, `[`+one+`, `+strings.Replace(one, "/db", "/other", 1)+`]`)
	var got []string
	for _, f := range check.Check([]*check.Document{d}, &check.Context{}) {
		got = append(got, f.App+" "+f.Rule)
	}
	if want := "/db dataset-shared, /other dataset-shared"; strings.Join(got, ", ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func FuzzCheckAndFix(f *testing.F) {
	for _, cases := range ruleCases(&testing.T{}) {
		for _, tc := range cases {
			f.Add([]byte(tc.text))
		}
	}
	f.Add([]byte(`{"id":"/g","apps":[{"id":"a","labels":{"flocker.volume.a":"a"},"labels":{}}]}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		d, err := check.Parse("fuzz", text)
		if err != nil {
			return
		}
		if string(d.Text()) != string(text) {
			t.Errorf("got %q, want it as it was", d.Text())
		}
		known := map[string]check.Dataset{}
		for _, name := range check.Names([]*check.Document{d}) {
			known[name] = check.Dataset{Zone: "a", Size: 1 << 30, FS: "ext4"}
		}
		before := check.Check([]*check.Document{d}, &check.Context{Running: d.Definitions, Datasets: known})
		mended, done, left, err := check.Fix(d, &check.Context{Datasets: known})
		if err != nil {
			t.Fatal(err)
		}
		if !json.Valid(mended) {
			t.Errorf("got %q, want JSON", mended)
		}
		if len(done) == 0 && string(mended) != string(text) {
			t.Errorf("got %q, want what there was", mended)
		}
		for _, finding := range left {
			if len(finding.Patch) > 0 {
				t.Errorf("left %+v of %q", finding, mended)
			}
		}
		if broken(before, done, left) {
			t.Errorf("cannot be read any more: %q, mended to %q", text, mended)
		}
	})
}
