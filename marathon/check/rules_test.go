package check_test

import (
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/marathon/check"
)

// app is one that is right, with a part in the place of $, or one put before the
// rest.
func app(part string) string {
	return `{` + part + `"id": "/db", "labels": {` + single + `"flocker.volume.data": "data"}, "upgradeStrategy": ` + zero + `}`
}

// labelled is an app that is right but for its labels.
func labelled(labels string) string {
	return `{"id": "/db", "labels": {` + labels + `}, "upgradeStrategy": ` + zero + `}`
}

// external is an app that is right but for its volume.
func external(volume string) string {
	return `{"id": "/db", "container": {"type": "MESOS", "volumes": [` + volume + `]}, "upgradeStrategy": ` + zero + `}`
}

func dvdi(rest string) string {
	return external(`{"containerPath": "data", "mode": "RW", "external": {"provider": "dvdi", "name": "db", ` + rest + `}}`)
}

func csi(rest string) string {
	return external(`{"containerPath": "data", "mode": "RW", "external": {"provider": "csi", "name": "db", "options": {"pluginName": "csi.flocker.mesos"` + rest + `}}}`)
}

// set is a volume set of three instances.
func set(labels, rest string) string {
	return `{"id": "/db", "instances": 3, "labels": {"flocker.volume.data": "data"` + labels + `}` + rest + `}`
}

// pod is one that is right but for its labels and its containers'.
func pod(labels, container, rest string) string {
	return `{"id": "/db", "labels": {` + labels + `}, "containers": [{"name": "a", "labels": {` + container + `}}` + rest + `],
		"scheduling": {"upgrade": ` + zero + `}}`
}

const (
	single   = `"MARATHON_SINGLE_INSTANCE_APP": "true", `
	zero     = `{"minimumHealthCapacity": 0, "maximumOverCapacity": 0}`
	rolling  = `, "upgradeStrategy": {"minimumHealthCapacity": 0.5, "maximumOverCapacity": 0}`
	each     = `, "flocker.volume.data.each": "true"`
	onVolume = `"flocker.volume.data": "data"`
	driver   = `"options": {"dvdi/driver": "flocker"}`
	access   = `, "capability": {"accessMode": "SINGLE_NODE_WRITER", "accessType": "mount", "fsType": "ext4"}`
	noFS     = `, "capability": {"accessMode": "SINGLE_NODE_WRITER", "accessType": "mount"}`
)

func long(n int) string { return strings.Repeat("x", n) }

func dataset(size int64, fs, zone string) check.Context {
	d := check.Dataset{Size: size, FS: fs, Zone: zone}
	return check.Context{Datasets: map[string]check.Dataset{"db.data": d, "db.data.1": d, "db": d}}
}

func constrained(constraints string) string { return app(`"constraints": ` + constraints + `, `) }

type ruleCase struct {
	name, text string
	context    check.Context
	want       string // severity, path and a part of the text; "" for no finding
}

// resident is an app that is bound to a machine by a volume of Marathon's own.
func resident(rest string) string {
	return `{"id": "/db", "container": {"type": "MESOS", "volumes": [{"containerPath": "local", "mode": "RW", "persistent": {"size": 100}}]}, ` + rest + `}`
}

// withMount is an app with a volume at /data and one of Marathon's at a path.
func withMount(path string) string {
	return `{"id": "/db", "labels": {` + single + `"flocker.volume.data": "/data"}, "container": {"type": "MESOS", "docker": {"image": "x"},
		"volumes": [{"containerPath": "` + path + `", "hostPath": "/srv", "mode": "RW"}]}, "upgradeStrategy": ` + zero + `}`
}

func ruleCases(t *testing.T) map[string][]ruleCase {
	running := func(text string) check.Context {
		d, err := check.Parse("running", []byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return check.Context{Running: d.Definitions}
	}
	var none check.Context
	zones := func(data, log string) check.Context {
		return check.Context{Datasets: map[string]check.Dataset{"db.data": {Zone: data}, "db.log": {Zone: log}}}
	}
	members := func(first, second string) check.Context {
		return check.Context{Datasets: map[string]check.Dataset{"db.data.0": {Zone: first}, "db.data.1": {Zone: second}}}
	}
	return map[string][]ruleCase{
		"unreadable": {
			{"a right app", app(""), none, ""},
			{"a number as a label", labelled(`"flocker.volume.data": "data", "flocker.volume.data.size": 20`), none, `error /labels/flocker.volume.data.size is 20, and must be a text`},
			{"an object as a label", labelled(`"flocker.volume.data": {"path": "data"}`), none, `error /labels/flocker.volume.data must be a text`},
			{"a text as a number", app(`"instances": "two", `), none, `error /instances instances cannot be a string`},
			{"a strategy that is none", app(`"unreachableStrategy": "never", `), none, ""},
			{"whole numbers in other words", app(`"instances": 1.0, "taskKillGracePeriodSeconds": 2e1, `), none, ""},
			{"a whole size in other words", dvdi(`"size": 20.0, ` + driver), none, ""},
			{"half an instance", app(`"instances": 1.5, `), none, `error /instances instances cannot be a number 1.5`},
			{"half a gibibyte", dvdi(`"size": 20.5, ` + driver), none, `error /container container.volumes.external.size cannot be a number 20.5`},
			{"a number without end", app(`"instances": 1e999, `), none, `error /instances instances cannot be a number`},
			{"a bool as a label of a container", pod(``, onVolume+`, "flocker.volume.data.preempt": true`, ``), none, `error /containers/0/labels/flocker.volume.data.preempt is true`},
		},
		"misspelt-setting": {
			{"right names", app(`"backoffSeconds": 1, "networks": [], "residency": {}, `), none, ""},
			{"capital letters", app(`"backoffseconds": 5, `), none, `error /backoffseconds backoffSeconds is`},
			{"a letter missing", app(`"unreachableStratgy": "disabled", `), none, `error /unreachableStratgy unreachableStrategy is`},
			{"labels that are none", `{"id": "/db", "lables": {` + onVolume + `}}`, none, `error /lables labels is`},
			{"of no volume", `{"id": "/db", "lables": {"team": "x"}}`, none, ""},
			{"of a pod", `{"id": "/db", "containers": [{"name": "a", "labels": {` + onVolume + `}}], "schedulin": {}}`, none, `error /schedulin scheduling is`},
			{"an app's in a pod", `{"id": "/db", "containers": [{"name": "a", "labels": {` + onVolume + `}}], "upgradeStrategy": ` + zero + `}`, none, `error /upgradeStrategy an app's, and a pod has scheduling.upgrade`},
			{"an app's number in a pod", `{"id": "/db", "containers": [{"name": "a", "labels": {` + onVolume + `}}], "instances": 2}`, none, `error /instances scaling.instances`},
			{"a pod's in an app", app(`"environment": {"X": "y"}, `), none, `error /environment a pod's, and an app has env`},
			{"an app's in a pod without volumes", `{"id": "/db", "containers": [{"name": "a"}], "instances": 2}`, none, ""},
			{"of a pod's container", `{"id": "/db", "containers": [{"name": "a", "Labels": {` + onVolume + `}}]}`, none, `error /containers/0/Labels labels is`},
		},
		"refused": {
			{"right", app(`"cmd": "sleep 1", "cpus": 0.1, "mem": null, "constraints": [["hostname", "UNIQUE"], ["rack", "like", "1"]], `), none, ""},
			{"a command of two characters", app(`"cmd": "ls", `), none, ""},
			{"a command of one character", app(`"cmd": "a", `), none, `error /cmd cmd is "a"`},
			{"cmd and args", app(`"cmd": "true", "args": ["b"], `), none, `error /args both given`},
			{"a number below 0", app(`"cpus": -1, `), none, `error /cpus cpus is -1`},
			{"instances below 0", app(`"instances": -1, `), none, `error /instances instances is -1`},
			{"a text as cpus", app(`"cpus": "x", `), none, `error /cpus is no number`},
			{"without a volume", `{"id": "/web", "cpus": "x"}`, none, `error /cpus is no number`},
			{"a capital letter in the id", `{"id": "/T/Upper", "cmd": "true"}`, none, `error /id "T" of the id`},
			{"a low line in the id", `{"id": "/t/a_b", "cmd": "true"}`, none, `error /id "a_b" of the id`},
			{"a constraint of one field", constrained(`[["hostname"]]`), none, `error /constraints/0 1 fields`},
			{"a constraint without a value", constrained(`[["hostname", "LIKE"]]`), none, `error /constraints/0 LIKE has no value`},
			{"an unknown operator", constrained(`[["hostname", "NONSENSE", "x"]]`), none, `error /constraints/0 operator is "NONSENSE"`},
			{"a capacity of 2", `{"id": "/web", "upgradeStrategy": {"minimumHealthCapacity": 2}}`, none, `error /upgradeStrategy/minimumHealthCapacity is 2`},
			{"alone, twice", `{"id": "/web", "instances": 2, "labels": {"MARATHON_SINGLE_INSTANCE_APP": "true"}, "upgradeStrategy": ` + zero + `}`, none, `error /instances instances is 2`},
			{"alone, with Marathon's strategy", `{"id": "/web", "labels": {"MARATHON_SINGLE_INSTANCE_APP": "true"}}`, none, `error /upgradeStrategy minimumHealthCapacity is 1`},
			{"alone", `{"id": "/web", "labels": {"MARATHON_SINGLE_INSTANCE_APP": "true"}, "upgradeStrategy": ` + zero + `}`, none, ""},
			{"times the wrong way round", `{"id": "/web", "unreachableStrategy": {"inactiveAfterSeconds": 10, "expungeAfterSeconds": 5}}`, none, `error /unreachableStrategy less than`},
			{"a capacity of 2 in a pod", `{"id": "/web", "containers": [], "scheduling": {"upgrade": {"maximumOverCapacity": 2}}}`, none, `error /scheduling/upgrade/maximumOverCapacity is 2`},
			{"a check without a command", app(`"healthChecks": [{"protocol": "COMMAND"}], `), none, `error /healthChecks/0/command has no command`},
			{"a check with a command", app(`"healthChecks": [{"protocol": "COMMAND", "command": {"value": "true"}}, {"protocol": "HTTP"}], `), none, ""},
			{"two containers of one name", `{"id": "/p", "containers": [{"name": "c"}, {"name": "c"}]}`, none, `error /containers/1/name two containers are called c`},
			{"a pod with instances below 0", `{"id": "/p", "containers": [{"name": "c"}], "scaling": {"kind": "fixed", "instances": -1}}`, none, `error /scaling/instances is -1`},
		},
		"set-twice": {
			{"once", app(""), none, ""},
			{"a setting", app(`"instances": 1, "instances": 1, `), none, `warning /instances "instances" is there twice`},
			{"a label", labelled(single + onVolume + `, "flocker.volume.data": "other"`), none, `warning /labels/flocker.volume.data twice`},
			{"in an app without volumes", `{"id": "/a", "id": "/b"}`, none, ""},
		},
		"label": {
			{"right", labelled(single + `"flocker.volume.data": "path=data,size=1GiB"`), none, ""},
			{"a setting that is none", labelled(single + onVolume + `, "flocker.volume.data.sise": "1GiB"`), none, `error /labels/flocker.volume.data.sise did you mean size?`},
			{"a size that is none", labelled(onVolume + `, "flocker.volume.data.size": "20"`), none, `error /labels/flocker.volume.data.size too small`},
			{"in a container of a pod", pod(``, `"flocker.volume.data": "../x"`, ``), none, `error /containers/0/labels/flocker.volume.data leads upwards`},
			{"a pod's, once for all containers", pod(`"flocker.volume.data": "/"`, ``, `, {"name": "b"}`), none, `error /labels/flocker.volume.data would hide the whole container`},
			{"half of it in the pod", pod(`"flocker.volume.data.size": "1GiB"`, onVolume, ``), none, ""},
			{"a variable", app(`"env": {"DVDI_VOLUME_DRIVER": "flocker", "DVDI_VOLUME_NAME": "x"}, `), none, `error /labels DVDI_VOLUME_CONTAINERPATH: the variable is missing`},
		},
		"label-ignored": {
			{"others'", labelled(single + onVolume + `, "docker.volume.x": "y", "flocker": "z", "team": "x", "flocker.io/team": "y", "folder.volume.x": "z"`), none, ""},
			{"without a dot", labelled(single + onVolume + `, "flocker.volumelog": "/log"`), none, `error /labels/flocker.volumelog almost flocker.volume.log`},
			{"without a key", labelled(single + onVolume + `, "flocker.volume": "/data"`), none, `error /labels/flocker.volume none of Flocker's, which all begin with flocker.volume.`},
			{"with a key that cannot be", labelled(single + onVolume + `, "flocker.volumes.日本": "/data"`), none, `error /labels/flocker.volumes.日本 none of Flocker's, which all begin with flocker.volume.`},
			{"an abbreviation", labelled(single + onVolume + `, "flocker.vol.log": "/log"`), none, `error /labels/flocker.vol.log almost flocker.volume.log`},
			{"of a volume that is there", labelled(single + onVolume + `, "flocker.volumes.data": "/data"`), none, `error /labels/flocker.volumes.data almost flocker.volume.data`},
			{"volumes", labelled(single + `"flocker.volumes.data": "/data"`), none, `error /labels/flocker.volumes.data almost flocker.volume.data`},
			{"a capital letter", labelled(`"Flocker.volume.data": "/data"`), none, `error /labels/Flocker.volume.data almost flocker.volume.data`},
			{"in a pod", pod(`"flocker-volume-data-size": "1G"`, onVolume, ``), none, `error /labels/flocker-volume-data-size almost flocker.volume.data.size`},
			{"in a container", pod(``, `"flocker_volume_data": "data"`, ``), none, `error /containers/0/labels/flocker_volume_data almost`},
		},
		"label-too-long": {
			{"just short enough", pod(``, `"flocker.volume.data": "`+long(511)[:250]+`/`+long(250)+`"`, ``), none, ""},
			{"in a pod", pod(``, `"flocker.volume.data": "`+long(250)+`/`+long(250)+`/`+long(20)+`"`, ``), none, `error /containers/0/labels/flocker.volume.data its value 522`},
			{"in an app", labelled(single + `"flocker.volume.data": "` + long(250) + `/` + long(250) + `/` + long(20) + `"`), none, `note /labels/flocker.volume.data its value 522`},
			{"others'", pod(``, onVolume+`, "team": "`+long(600)+`"`, ``), none, ""},
		},
		"docker-containerizer": {
			{"Mesos'", app(`"container": {"type": "MESOS", "docker": {"image": "x"}}, `), none, ""},
			{"Docker's", app(`"container": {"type": "DOCKER", "docker": {"image": "x"}}, `), none, `error /container/type is DOCKER`},
			{"by default", app(`"container": {"docker": {"image": "x"}}, `), none, `error /container/type default is DOCKER`},
			{"without a volume", `{"id": "/web", "container": {"type": "DOCKER", "docker": {"image": "x"}}}`, none, ""},
			{"without an image", app(`"container": {"volumes": []}, `), none, ""},
			{"small letters", app(`"container": {"type": "mesos", "docker": {"image": "x"}}, `), none, ""},
			{"Docker's, in small letters", app(`"container": {"type": "docker", "docker": {"image": "x"}}, `), none, `error /container/type is DOCKER`},
			{"another", app(`"container": {"type": "APPC"}, `), none, `error /container/type "APPC"`},
			{"as Marathon answers", app(`"container": {"type": "DOCKER", "docker": {"image": "x", "parameters": [], "privileged": false, "portMappings": null}}, `), none, `error /container/type is DOCKER`},
			{"with parameters", app(`"container": {"type": "DOCKER", "docker": {"image": "x", "parameters": [{"key": "a", "value": "b"}]}}, `), none, `error /container/type is DOCKER`},
		},
		"instances": {
			{"one", app(`"instances": 1, `), none, ""},
			{"none", app(`"instances": 0, `), none, ""},
			{"three", `{"id": "/db", "instances": 3, "labels": {` + onVolume + `}}`, none, `error /instances 3 instances share db.data`},
			{"each has its own", set(each, rolling), none, ""},
			{"one of two volumes is shared", set(each+`, "flocker.volume.log": "log"`, rolling), none, `error /instances share db.log`},
			{"on one machine", `{"id": "/db", "instances": 2, "labels": {` + onVolume + `}, "constraints": [["hostname", "CLUSTER"]]}`, none, `warning /instances all 2 instances write to db.data`},
			{"reading on one machine", `{"id": "/db", "instances": 2, "labels": {` + onVolume + `, "flocker.volume.data.mode": "ro"}, "constraints": [["hostname", "LIKE", "node1"]]}`, none, ""},
			{"a pod", `{"id": "/db", "scaling": {"kind": "fixed", "instances": 2}, "containers": [{"labels": {` + onVolume + `}}]}`, none, `error /scaling/instances 2 instances share`},
			{"external", strings.Replace(dvdi(driver), `{"id"`, `{"instances": 2, "id"`, 1), none, `error /instances 2 instances share db`},
		},
		"each-too-few": {
			{"as many as instances", set(each, rolling), none, ""},
			{"more", set(`, "flocker.volume.data.each": "5"`, rolling), none, ""},
			{"two for three", set(`, "flocker.volume.data.each": "2"`, rolling), none, `error /labels/flocker.volume.data db.data has 2 members for 3 instances`},
		},
		"each-unknown": {
			{"not asked", set(each, rolling), none, ""},
			{"not followed", set(each, rolling), check.Context{Unfollowed: true}, `error /labels/flocker.volume.data.each db.data has as many members`},
			{"not followed, on one line", `{"id": "/db", "labels": {"flocker.volume.data": "path=data,each=true"}}`, check.Context{Unfollowed: true}, `error /labels/flocker.volume.data their number is not known`},
			{"a number", set(`, "flocker.volume.data.each": "3"`, rolling), check.Context{Unfollowed: true}, ""},
			{"no set", app(""), check.Context{Unfollowed: true}, ""},
		},
		"upgrade-strategy": {
			{"0 and 0", app(""), none, ""},
			{"none", `{"id": "/db", "labels": {` + onVolume + `}}`, none, `error /upgradeStrategy default minimumHealthCapacity is 1 and maximumOverCapacity is 1`},
			{"none, external", `{"id": "/db", "container": {"type": "MESOS", "volumes": [{"containerPath": "d", "mode": "RW", "external": {"provider": "dvdi", "name": "x", ` + driver + `}}]}}`, none, `error /upgradeStrategy default minimumHealthCapacity is 0.5 and maximumOverCapacity is 0`},
			{"0.5 and 0", `{"id": "/db", "labels": {` + onVolume + `}` + rolling + `}`, none, `error /upgradeStrategy before it kills the old one`},
			{"0 and 1", `{"id": "/db", "labels": {` + onVolume + `}, "upgradeStrategy": {"minimumHealthCapacity": 0, "maximumOverCapacity": 1}}`, none, `warning /upgradeStrategy may start the new instance before`},
			{"suspended", `{"id": "/db", "instances": 0, "labels": {` + onVolume + `}}`, none, `error /upgradeStrategy`},
			{"of an app without volumes", `{"id": "/web"}`, none, ""},
			{"of a pod", `{"id": "/db", "containers": [{"labels": {` + onVolume + `}}]}`, none, `error /scheduling/upgrade there is no scheduling.upgrade`},
			{"external, over capacity", strings.Replace(dvdi(driver), `"maximumOverCapacity": 0`, `"maximumOverCapacity": 1`, 1), none, `error /upgradeStrategy Marathon refuses a maximumOverCapacity above 0`},
			{"none, of an app that is bound to a machine", resident(`"labels": {` + onVolume + `}`), none, ""},
			{"none, of one that is bound to a machine and alone", resident(`"labels": {` + single + onVolume + `}`), none, `error /upgradeStrategy with MARATHON_SINGLE_INSTANCE_APP Marathon takes 0 and 0 alone`},
			{"0.5 and 0, of one that is alone", `{"id": "/db", "labels": {` + single + onVolume + `}` + rolling + `}`, none, `error /upgradeStrategy with MARATHON_SINGLE_INSTANCE_APP Marathon takes 0 and 0 alone`},
			{"of a set with members to spare, all healthy", set(`, "flocker.volume.data.each": "5"`, `, "upgradeStrategy": {"minimumHealthCapacity": 1, "maximumOverCapacity": 0.34}`), none, `warning /upgradeStrategy get other members of the 5 than those had`},
			{"of a set", set(each, rolling), none, ""},
			{"of a set, none", set(each, ""), none, `error /upgradeStrategy up to 6 instances`},
			{"of a set, all healthy", set(each, `, "upgradeStrategy": {"minimumHealthCapacity": 0.9, "maximumOverCapacity": 0}`), none, `error /upgradeStrategy there are 3 members`},
			{"of a set with spare members", set(`, "flocker.volume.data.each": "6"`, `, "upgradeStrategy": {"minimumHealthCapacity": 0.5, "maximumOverCapacity": 1}`), none, ""},
			{"of a set, over what there is", set(`, "flocker.volume.data.each": "5"`, `, "upgradeStrategy": {"minimumHealthCapacity": 0.5, "maximumOverCapacity": 1}`), none, `error /upgradeStrategy up to 6 instances`},
		},
		"all-at-once": {
			{"some after the others", set(each, rolling), none, ""},
			{"all", set(each, `, "upgradeStrategy": `+zero), none, `note /upgradeStrategy minimumHealthCapacity is 0, with 3 instances`},
			{"one instance", app(""), none, ""},
		},
		"single-instance": {
			{"there", app(""), none, ""},
			{"missing", labelled(onVolume), none, `warning /labels is missing`},
			{"a part missing", labelled(`"MARATHON_SINGLE_INSTANCE": "true", ` + onVolume), none, `warning /labels/MARATHON_SINGLE_INSTANCE is none of Marathon's labels`},
			{"small letters", labelled(`"marathon_single_instance_app": "true", ` + onVolume), none, `warning /labels/marathon_single_instance_app is none of Marathon's labels`},
			{"True", labelled(`"MARATHON_SINGLE_INSTANCE_APP": "True", ` + onVolume), none, `warning /labels/MARATHON_SINGLE_INSTANCE_APP has an effect as "true" alone`},
			{"not for external volumes", dvdi(driver), none, ""},
			{"not for pods", pod(``, onVolume, ``), none, ""},
			{"not for sets", set(each, rolling), none, ""},
			{"refused of a set", set(each+`, "MARATHON_SINGLE_INSTANCE_APP": "true"`, rolling), none, `error /labels/MARATHON_SINGLE_INSTANCE_APP refuses 3 instances`},
		},
		"unreachable-strategy": {
			{"none", app(""), none, ""},
			{"0 and 0", app(`"unreachableStrategy": {"inactiveAfterSeconds": 0, "expungeAfterSeconds": 0}, `), none, ""},
			{"at once, forgotten later", app(`"unreachableStrategy": {"inactiveAfterSeconds": 0, "expungeAfterSeconds": 600}, `), none, ""},
			{"disabled", app(`"unreachableStrategy": "disabled", `), none, `warning /unreachableStrategy is disabled`},
			{"later", app(`"unreachableStrategy": {"inactiveAfterSeconds": 300, "expungeAfterSeconds": 600}, `), none, `warning /unreachableStrategy only after 5m0s`},
			{"the wrong way round", app(`"unreachableStrategy": {"inactiveAfterSeconds": 300, "expungeAfterSeconds": 60}, `), none, `error /unreachableStrategy Marathon refuses`},
			{"capital letters", app(`"unreachableStrategy": "DISABLED", `), none, `warning /unreachableStrategy is disabled`},
			{"a word that Marathon ignores", app(`"unreachableStrategy": "never", `), none, `note /unreachableStrategy is "never", which Marathon ignores`},
			{"a list that Marathon ignores", app(`"unreachableStrategy": [], `), none, `note /unreachableStrategy is [], which Marathon ignores`},
			{"null", app(`"unreachableStrategy": null, `), none, ""},
			{"of a pod", `{"id": "/db", "containers": [{"labels": {` + onVolume + `}}], "scheduling": {"unreachableStrategy": "disabled"}}`, none, `warning /scheduling/unreachableStrategy is disabled`},
			{"of an app without volumes", `{"id": "/web", "unreachableStrategy": "disabled"}`, none, ""},
		},
		"unhealthy-stays": {
			{"Marathon's default", app(`"healthChecks": [{"protocol": "TCP"}], `), none, ""},
			{"never killed", app(`"healthChecks": [{"protocol": "TCP"}, {"protocol": "HTTP", "maxConsecutiveFailures": 0}], `), none, `warning /healthChecks/1/maxConsecutiveFailures is never killed`},
			{"of a set", set(each, rolling+`, "healthChecks": [{"maxConsecutiveFailures": 0}]`), none, ""},
			{"of a pod", `{"id": "/db", "containers": [{"labels": {` + onVolume + `}}, {"healthCheck": {"maxConsecutiveFailures": 0}}], "scheduling": {"upgrade": ` + zero + `}}`, none, ""},
			{"checked by Mesos, which kills at the first failure", app(`"healthChecks": [{"protocol": "COMMAND", "command": {"value": "true"}, "maxConsecutiveFailures": 0}, {"protocol": "MESOS_HTTP", "maxConsecutiveFailures": 0}], `), none, ""},
			{"without a volume", `{"id": "/web", "healthChecks": [{"maxConsecutiveFailures": 0}], "upgradeStrategy": ` + zero + `}`, none, ""},
		},
		"resident": {
			{"of the sandbox", external(`{"containerPath": "x", "mode": "RW"}`), none, ""},
			{"beside a volume", resident(`"labels": {` + onVolume + `}`), none, `warning /container/volumes/0 local is on the disk of one machine`},
			{"without a volume of ours", resident(`"cmd": "x"`), none, ""},
		},
		"path-taken": {
			{"others' beside it", withMount("/log"), none, ""},
			{"others' with a longer name", withMount("/data2"), none, ""},
			{"the same", withMount("/data/"), none, `error /labels/flocker.volume.data the volume is at /data, and so is that of /container/volumes/0`},
			{"within it", withMount("/data/log"), none, `warning /labels/flocker.volume.data that of /container/volumes/0 within it`},
			{"around it", strings.Replace(withMount("/data"), `"/data"`, `"/data/base"`, 1), none, `warning /labels/flocker.volume.data within that of`},
			{"in a pod", `{"id": "/db", "containers": [{"image": {"id": "x"}, "labels": {"flocker.volume.data": "/data"}, "volumeMounts": [{"name": "v", "mountPath": "/data"}]}]}`, none, `error /containers/0/labels/flocker.volume.data /containers/0/volumeMounts/0`},
		},
		"backoff": {
			{"Marathon's default", app(""), none, ""},
			{"as Marathon answers", app(`"backoffSeconds": 1, "backoffFactor": 1.15, "maxLaunchDelaySeconds": 3600, `), none, ""},
			{"long from the beginning", app(`"backoffSeconds": 600, `), none, `warning /backoffSeconds 10m0s later`},
			{"growing fast", app(`"backoffFactor": 3, `), none, `warning /backoffFactor 1m21s later`},
			{"growing fast, with a far limit", app(`"backoffFactor": 3, "maxLaunchDelaySeconds": 3600, `), none, `warning /maxLaunchDelaySeconds 1m21s later`},
			{"growing fast, with a limit", app(`"backoffFactor": 3, "maxLaunchDelaySeconds": 60, `), none, ""},
			{"of a pod", `{"id": "/db", "containers": [{"labels": {` + onVolume + `}}], "scheduling": {"backoff": {"backoff": 600}}}`, none, `warning /scheduling/backoff/backoff 10m0s`},
		},
		"dataset-twice": {
			{"once", dvdi(driver), none, ""},
			{"in two forms", strings.Replace(dvdi(driver), `{"id"`, `{"labels": {"flocker.volume.x": "path=x,name=db"}, "id"`, 1), none, `error /labels/flocker.volume.x the dataset db is asked for here and at /container/volumes/0`},
			{"in two containers of a pod", pod(``, onVolume, `, {"name": "b", "labels": {`+onVolume+`}}`), none, ""},
		},
		"name-twice": {
			{"of one app", app(""), running(`{"id": "/web", "labels": {"flocker.volume.data": "data"}}`), ""},
			{"of two ids that become one", `{"id": "/a/db", "labels": {"flocker.volume.data": "data"}}`, running(`{"id": "/a.db", "labels": {"flocker.volume.data": "data"}}`), `error /labels/flocker.volume.data a.db.data, is also that of /a.db`},
			{"of an app and a pod", `{"id": "/a/db", "labels": {"flocker.volume.data": "data"}}`, running(`{"id": "/a.db", "containers": [{"labels": {"flocker.volume.data": "data"}}]}`), `error /labels/flocker.volume.data /a.db`},
			{"on one machine", `{"id": "/a/db", "constraints": [["hostname", "IS", "a"]], "labels": {"flocker.volume.data": "data"}}`, running(`{"id": "/a.db", "constraints": [["hostname", "IS", "a"]], "labels": {"flocker.volume.data": "data"}}`), `error /labels/flocker.volume.data /a.db`},
			{"of another key", `{"id": "/a/db", "labels": {"flocker.volume.data": "data"}}`, running(`{"id": "/a.db", "labels": {"flocker.volume.log": "data"}}`), ""},
			{"with a name of its own", `{"id": "/a/db", "labels": {"flocker.volume.data": "path=data,name=x"}}`, running(`{"id": "/a.db", "labels": {"flocker.volume.data": "data"}}`), ""},
		},
		"dataset-shared": {
			{"by nobody else", app(""), running(`{"id": "/web", "labels": {"flocker.volume.data": "data"}}`), ""},
			{"by the same app, which runs", app(""), running(app("")), ""},
			{"by another one", app(""), running(`{"id": "/web", "labels": {"flocker.volume.x": "path=x,name=db.data"}}`), `error /labels/flocker.volume.data also asked for by /web (labels)`},
			{"to read it, in another form", dvdi(driver), running(`{"id": "/web", "labels": {"flocker.volume.x": "path=x,name=db,mode=ro"}}`), `error /container/volumes/0 also asked for by /web (labels)`},
			{"on one machine", constrained(`[["hostname", "IS", "a"]]`), running(`{"id": "/web", "labels": {"flocker.volume.x": "path=x,name=db.data"}, "constraints": [["hostname", "CLUSTER", "a"]]}`), ""},
			{"on two machines", constrained(`[["hostname", "IS", "a"]]`), running(`{"id": "/web", "labels": {"flocker.volume.x": "path=x,name=db.data"}, "constraints": [["hostname", "IS", "b"]]}`), `error /labels/flocker.volume.data /web`},
			{"a member of its set", set(each, rolling), running(`{"id": "/web", "labels": {"flocker.volume.x": "path=x,name=db.data.1"}}`), `error /labels/flocker.volume.data /web`},
			{"the set that it is a member of", labelled(single + `"flocker.volume.x": "path=x,name=web.data.0"`), running(`{"id": "/web", "labels": {"flocker.volume.data": "path=x,each=true"}}`), `error /labels/flocker.volume.x /web`},
			{"a dataset that is called like a set", set(each, rolling), running(`{"id": "/web", "labels": {"flocker.volume.x": "path=x,name=db.data"}}`), ""},
		},
		"zone": {
			{"not known", app(""), dataset(0, "", ""), ""},
			{"bound to it", constrained(`[["@zone", "IS", "a"]]`), dataset(0, "", "a"), ""},
			{"kept away", constrained(`[["@zone", "IS", "b"]]`), dataset(0, "", "a"), `error /constraints/0 db.data is in zone a, and the app may not run there: @zone IS b`},
			{"unlike", constrained(`[["flocker_zone", "UNLIKE", "a|b"]]`), dataset(0, "", "a"), `error /constraints/0 UNLIKE`},
			{"like", constrained(`[["flocker_zone", "LIKE", "a|b"]]`), dataset(0, "", "a"), ""},
			{"like more than Go knows", constrained(`[["@zone", "LIKE", "(?=a)a"], ["az", "IS", "a"]]`), dataset(0, "", "a"), ""},
			{"not bound", constrained(`[["hostname", "UNIQUE"], ["@zone", "GROUP_BY"]]`), dataset(0, "", "a"), `warning /constraints may run in others`},
			{"a member kept away", set(each, rolling+`, "constraints": [["@zone", "IS", "b"]]`), dataset(0, "", "a"), `error /constraints/0 db.data.1 is in zone a`},
			{"a pod kept away", `{"id": "/db", "containers": [{"labels": {` + onVolume + `}}], "scheduling": {"placement": {"constraints": [{"fieldName": "@zone", "operator": "IS", "value": "b"}]}}}`, dataset(0, "", "a"), `error /scheduling/placement/constraints/0 zone a`},
			{"on one machine", constrained(`[["hostname", "IS", "node1"]]`), dataset(0, "", "a"), ""},
			{"the second constraint", constrained(`[["hostname", "UNIQUE"], ["az", "LIKE", "b|c"]]`), dataset(0, "", "a"), `error /constraints/1 az LIKE b|c`},
			{"two volumes in one zone", labelled(single + onVolume + `, "flocker.volume.log": "log"`), zones("a", "a"), `warning /constraints may run in others`},
			{"two volumes in two zones", labelled(single + onVolume + `, "flocker.volume.log": "log"`), zones("a", "b"), `error /labels/flocker.volume.log db.data is in zone a and db.log in zone b: no machine can have both`},
			{"a set with members to be made yet", set(each, rolling), dataset(0, "", "a"), ""},
			{"a set in one zone", set(`, "flocker.volume.data.each": "2"`, `, "instances": 2`), members("a", "a"), `warning /constraints db.data.0 is in zone a, and the app may run in others`},
			{"a set in two zones", set(`, "flocker.volume.data.each": "2"`, `, "instances": 2`), members("a", "b"), ""},
		},
		"absolute-path": {
			{"relative", app(""), none, ""},
			{"in an image", `{"id": "/db", "container": {"type": "MESOS", "docker": {"image": "x"}}, "labels": {"flocker.volume.data": "/data"}}`, none, ""},
			{"without an image", labelled(single + `"flocker.volume.data": "/var/data"`), none, `warning /labels/flocker.volume.data put at var/data below the sandbox`},
			{"in a pod's image", `{"id": "/db", "containers": [{"image": {"kind": "DOCKER", "id": "x"}, "labels": {"flocker.volume.data": "/data"}}]}`, none, ""},
			{"in a pod", pod(``, `"flocker.volume.data": "/data"`, ``), none, `warning /containers/0/labels/flocker.volume.data below the sandbox`},
		},
		"pod-volume": {
			{"of the host", `{"id": "/db", "containers": [], "volumes": [{"name": "x", "host": "/x"}]}`, none, ""},
			{"external", `{"id": "/db", "containers": [], "volumes": [{"name": "x", "external": {"provider": "dvdi"}}]}`, none, `error /volumes/0 "x" is an external one`},
		},
		"pod-labels": {
			{"of its only container", pod(onVolume, ``, ``), none, ""},
			{"of several", pod(onVolume, ``, `, {"name": "b"}`), none, `note /labels/flocker.volume.data goes to all 2 containers`},
			{"of one of several", pod(``, onVolume, `, {"name": "b"}`), none, ""},
		},
		"external-name": {
			{"right", dvdi(driver), none, ""},
			{"of others", dvdi(`"options": {"dvdi/driver": "rexray"}`), none, ""},
			{"a driver with a capital letter", dvdi(`"options": {"dvdi/driver": "Flocker"}`), none, `error /container/volumes/0/external/options/dvdi~1driver Flocker's is flocker`},
			{"a driver with a mistake", dvdi(`"options": {"dvdi/driver": "flokcer"}`), none, `error /container/volumes/0/external/options/dvdi~1driver "flokcer"`},
			{"a plugin", external(`{"containerPath": "d", "mode": "RW", "external": {"provider": "csi", "name": "x", "options": {"pluginName": "csi.flocker"}}}`), none, `error /container/volumes/0/external/options/pluginName Flocker's is csi.flocker.mesos`},
			{"no driver", dvdi(`"options": {}`), none, `error /container/volumes/0/external/options/dvdi~1driver dvdi/driver is missing`},
			{"no plugin", external(`{"containerPath": "d", "mode": "RW", "external": {"provider": "csi", "name": "x", "options": {}}}`), none, `error /container/volumes/0/external/options/pluginName pluginName is missing`},
			{"a provider of others", external(`{"containerPath": "d", "mode": "RW", "external": {"provider": "none", "name": "x", "options": {}}}`), none, `error /container/volumes/0/external/provider no provider "none"`},
			{"a provider", external(`{"containerPath": "d", "mode": "RW", "external": {"provider": "docker", "name": "x", ` + driver + `}}`), none, `error /container/volumes/0/external/provider no provider "docker"`},
		},
		"external-feature": {
			{"not known", dvdi(driver), none, ""},
			{"on", dvdi(driver), check.Context{Features: []string{"vips", "external_volumes"}}, ""},
			{"off", dvdi(driver), check.Context{Features: []string{"vips"}}, `error /container/volumes/0 without the feature external_volumes`},
			{"off, and labels", app(""), check.Context{Features: []string{}}, ""},
		},
		"dvdi-mode": {
			{"RW", dvdi(driver), none, ""},
			{"small letters", strings.Replace(dvdi(driver), `"RW"`, `"rw"`, 1), none, ""},
			{"RO", strings.Replace(dvdi(driver), `"RW"`, `"RO"`, 1), none, `error /container/volumes/0/mode mode is "RO"`},
		},
		"dvdi-shared": {
			{"not shared", dvdi(`"shared": false, ` + driver), none, ""},
			{"shared", dvdi(`"shared": true, ` + driver), none, `warning /container/volumes/0/external/shared the volume db is shared`},
		},
		"dvdi-options": {
			{"all that there are", dvdi(`"options": {"dvdi/driver": "flocker", "dvdi/size": "20", "dvdi/fs": "xfs", "dvdi/profile": "gold", "dvdi/preempt": "true"}`), none, ""},
			{"reclaim and grace", dvdi(`"options": {"dvdi/driver": "flocker", "dvdi/grace": "72h", "dvdi/reclaim": "delete"}`), none, ""},
			{"reclaim with a mistake", dvdi(`"options": {"dvdi/driver": "flocker", "dvdi/grace": "72h", "dvdi/reclaim": "delet"}`), none, `error /container/volumes/0/external/options/dvdi~1reclaim did you mean delete?`},
			{"grace alone", dvdi(`"options": {"dvdi/driver": "flocker", "dvdi/grace": "72h"}`), none, `error /container/volumes/0/external/options/dvdi~1grace no meaning without reclaim=delete`},
			{"grace for ever", dvdi(`"options": {"dvdi/driver": "flocker", "dvdi/grace": "three days", "dvdi/reclaim": "delete"}`), none, `error /container/volumes/0/external/options/dvdi~1grace write it as in 72h`},
			{"reclaim misspelt", dvdi(`"options": {"dvdi/driver": "flocker", "dvdi/reclam": "delete"}`), none, `error /container/volumes/0/external/options/dvdi~1reclam did you mean reclaim?`},
			{"of another prefix", dvdi(`"options": {"dvdi/driver": "flocker", "flocker/size": "20"}`), none, `warning /container/volumes/0/external/options/flocker~1size is dropped`},
			{"without a prefix", dvdi(`"options": {"dvdi/driver": "flocker", "size": "20"}`), none, `error /container/volumes/0/external/options/size Marathon refuses`},
			{"not known", dvdi(`"options": {"dvdi/driver": "flocker", "dvdi/sise": "20"}`), none, `error /container/volumes/0/external/options/dvdi~1sise did you mean size?`},
			{"a number", dvdi(`"options": {"dvdi/driver": "flocker", "dvdi/size": 20}`), none, `error /container/volumes/0/external/options/dvdi~1size is no text`},
			{"two sizes", dvdi(`"size": 5, "options": {"dvdi/driver": "flocker", "dvdi/size": "20"}`), none, `warning /container/volumes/0/external/options/dvdi~1size has no effect`},
			{"no size", dvdi(`"size": 0, ` + driver), none, `error /container/volumes/0/external/size size is 0`},
		},
		"csi-access": {
			{"right", csi(access), none, ""},
			{"reading", strings.Replace(csi(`, "capability": {"accessMode": "SINGLE_NODE_READER_ONLY", "accessType": "mount", "fsType": "xfs"}`), `"RW"`, `"RO"`, 1), none, ""},
			{"writing in a mode to read", csi(`, "capability": {"accessMode": "SINGLE_NODE_READER_ONLY", "accessType": "mount"}`), none, `error /container/volumes/0/external/options/capability/accessMode mode is "RW"`},
			{"several machines", csi(`, "capability": {"accessMode": "MULTI_NODE_MULTI_WRITER", "accessType": "mount"}`), none, `error /container/volumes/0/external/options/capability/accessMode on one machine at a time`},
			{"a raw device", csi(`, "capability": {"accessMode": "SINGLE_NODE_WRITER", "accessType": "block"}`), none, `error /container/volumes/0/external/options/capability/accessType is block`},
			{"nothing", csi(``), none, `error /container/volumes/0/external/options/capability/accessMode is missing`},
			{"no file system", csi(noFS), none, `error /container/volumes/0/external/options/capability/fsType fsType is missing, and Marathon answers 500`},
			{"no file system, of nothing", csi(``), none, `error /container/volumes/0/external/options/capability/fsType is missing`},
			{"null for a file system", csi(strings.Replace(noFS, `"mount"`, `"mount", "fsType": null`, 1)), none, `error /container/volumes/0/external/options/capability/fsType is missing`},
			{"an empty file system", csi(strings.Replace(noFS, `"mount"`, `"mount", "fsType": ""`, 1)), none, ""},
		},
		"csi-options": {
			{"none", csi(access), none, ""},
			{"all that there are", csi(strings.Replace(access, "ext4", "xfs", 1) + `, "volumeContext": {"size": "20GiB", "profile": "gold", "fs": "xfs", "grace": "72h", "reclaim": "delete"}`), none, ""},
			{"misspelt", csi(access + `, "volumeContext": {"reclam": "delete"}`), none, `error /container/volumes/0/external/options/volumeContext/reclam did you mean reclaim?`},
			{"of labels alone", csi(access + `, "volumeContext": {"each": "true"}`), none, `error /container/volumes/0/external/options/volumeContext/each for labels alone`},
			{"grace alone", csi(access + `, "volumeContext": {"grace": "72h"}`), none, `error /container/volumes/0/external/options/volumeContext/grace no meaning without reclaim=delete`},
			{"a number", csi(access + `, "volumeContext": {"size": 20}`), none, `error /container/volumes/0/external/options/volumeContext/size is no text`},
			{"a strange file system", csi(strings.Replace(noFS, `"mount"`, `"mount", "fsType": "btrfs"`, 1)), none, `error /container/volumes/0/external/options/capability/fsType "btrfs" is not possible`},
			{"no name", strings.Replace(csi(access), `"name": "db"`, `"name": ""`, 1), none, `error /container/volumes/0/external/name is empty`},
			{"mount flags", csi(`, "capability": {"accessMode": "SINGLE_NODE_WRITER", "accessType": "mount", "fsType": "xfs", "mountFlags": ["noatime"]}, "volumeContext": {"size": "20", "profile": "gold"}`), none, ""},
			{"a mount flag", csi(`, "capability": {"accessMode": "SINGLE_NODE_WRITER", "accessType": "mount", "mountFlags": ["noatime", "discard"]}`), none, `error /container/volumes/0/external/options/capability/mountFlags/1 "discard" is not possible`},
		},
		"reclaim-unheard": {
			{"followed", labelled(single + onVolume + `, "flocker.volume.data.reclaim": "delete"`), none, ""},
			{"kept", app(""), check.Context{Unfollowed: true}, ""},
			{"by a label", labelled(single + onVolume + `, "flocker.volume.data.reclaim": "delete"`), check.Context{Unfollowed: true}, `note /labels/flocker.volume.data.reclaim db.data is to be deleted`},
			{"of an external volume", dvdi(`"options": {"dvdi/driver": "flocker", "dvdi/reclaim": "delete"}`), check.Context{Unfollowed: true}, `note /container/volumes/0 db is to be deleted`},
		},
		"csi-secrets": {
			{"none", csi(access + `, "nodeStageSecret": {}`), none, ""},
			{"one", csi(access + `, "nodeStageSecret": {"a": "b"}`), none, `note /container/volumes/0/external/options/nodeStageSecret is given`},
		},
		"file-system": {
			{"the same", labelled(single + onVolume + `, "flocker.volume.data.fs": "xfs"`), dataset(0, "xfs", ""), ""},
			{"none", app(""), dataset(0, "xfs", ""), ""},
			{"another", labelled(single + onVolume + `, "flocker.volume.data.fs": "xfs"`), dataset(0, "ext4", ""), `error /labels/flocker.volume.data.fs db.data has ext4, and the app asks for xfs`},
			{"another, on one line", labelled(single + `"flocker.volume.data": "path=data,fs=xfs"`), dataset(0, "ext4", ""), `error /labels/flocker.volume.data has ext4`},
			{"another, external", dvdi(`"options": {"dvdi/driver": "flocker", "dvdi/fs": "xfs"}`), dataset(0, "ext4", ""), `error /container/volumes/0 has ext4`},
			{"a member's", set(each+`, "flocker.volume.data.fs": "xfs"`, rolling), dataset(0, "ext4", ""), `error /labels/flocker.volume.data.fs db.data.1 has ext4`},
			{"of one that is not there yet", labelled(single + `"flocker.volume.new": "path=data,fs=xfs"`), dataset(0, "ext4", ""), ""},
		},
		"size": {
			{"the same", labelled(single + onVolume + `, "flocker.volume.data.size": "1GiB"`), dataset(1<<30, "", ""), ""},
			{"none", app(""), dataset(1<<30, "", ""), ""},
			{"smaller", labelled(single + onVolume + `, "flocker.volume.data.size": "1GiB"`), dataset(2<<30, "", ""), `note /labels/flocker.volume.data.size stays as large as it is`},
			{"larger", labelled(single + onVolume + `, "flocker.volume.data.size": "1GiB"`), dataset(1<<29, "", ""), `note /labels/flocker.volume.data.size does not grow by itself`},
		},
		"kill-grace": {
			{"some", app(`"cmd": "postgres", "taskKillGracePeriodSeconds": 30, `), none, ""},
			{"Mesos' default", app(`"cmd": "postgres", `), none, ""},
			{"none", strings.ReplaceAll(app(`"cmd": "exec postgres", "taskKillGracePeriodSeconds": 0, `), "/db", "/x"), none, `warning /taskKillGracePeriodSeconds looks like a database (postgres)`},
			{"of no database", strings.ReplaceAll(app(`"cmd": "true", "taskKillGracePeriodSeconds": 0, `), "/db", "/cache"), none, ""},
			{"in a pod", `{"id": "/x", "containers": [{"name": "mysql", "lifecycle": {"killGracePeriodSeconds": 0}, "labels": {` + onVolume + `}}]}`, none, `warning /containers/0/lifecycle/killGracePeriodSeconds (mysql)`},
		},
		"launch-timeout": {
			{"not known", app(""), none, ""},
			{"long enough", app(""), check.Context{Timeouts: check.Timeouts{ExecutorRegistration: time.Minute, TaskLaunch: 5 * time.Minute}}, ""},
			{"Mesos gives up first", app(""), check.Context{Timeouts: check.Timeouts{ExecutorRegistration: time.Minute, Wait: 2 * time.Minute}}, `error /executor_registration_timeout is 1m0s, and a container may wait 2m0s`},
			{"Marathon gives up first", app(""), check.Context{Timeouts: check.Timeouts{ExecutorRegistration: 10 * time.Minute, TaskLaunch: 5 * time.Minute}}, `warning /task_launch_timeout is 5m0s, and a launch may take 10m0s`},
			{"of nobody with volumes", `{"id": "/web"}`, check.Context{Timeouts: check.Timeouts{ExecutorRegistration: time.Second}}, ""},
		},
	}
}
