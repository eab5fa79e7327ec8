package isolator_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/isolator"
)

func TestPlan(t *testing.T) {
	waiting := isolator.Waiting{
		Program: "/sys/.flocker/1", Socket: "/run/a.sock", Consumer: "a.b", Limit: 90 * time.Second, Namespace: 7,
	}
	targets := []isolator.Target{{Key: "data", Path: "data"}, {Key: "log", Path: "/a b=c", ReadOnly: true}}
	sandbox := isolator.Directory{Path: "/s", Device: 1, Inode: 2}
	const begin = `{"clone_namespaces":[131072],"mounts":[{"source":"devtmpfs","target":"/sys","type":"devtmpfs","flags":2}],` +
		`"pre_exec_commands":[{"shell":false,"value":"/sys/.flocker/1","arguments":["flocker-isolator","mount",` +
		`"--socket","/run/a.sock","--consumer","a.b","--limit","1m30s","--outside","7","--sandbox","1:2:/s",`
	both := []api.Mount{{Key: "log"}, {Key: "data", Ready: true}}
	tests := []struct {
		name   string
		space  isolator.Space
		mounts []api.Mount
		want   string // JSON, or the beginning of an error
	}{
		{"no image", isolator.Space{Sandbox: sandbox}, both, begin + `"rw:data=data","ro:log=/a b=c"]}]}`},
		{"image", isolator.Space{Sandbox: sandbox, Rootfs: isolator.Directory{Path: "/r", Device: 3, Inode: 4}, View: "/mnt/x"}, both,
			begin + `"--rootfs","3:4:/r","--view","/mnt/x","rw:data=data","ro:log=/a b=c"]}]}`},
		{"one is missing", isolator.Space{Sandbox: sandbox}, both[1:], "the flocker agent answered without a mount for volume log"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			info, err := isolator.Plan(tt.space, targets, tt.mounts, waiting)
			var got []byte
			if err == nil {
				got, err = info.Encode()
			}
			if err != nil {
				got = []byte(err.Error())
			} else if !json.Valid(got) {
				t.Errorf("got invalid JSON %s", got)
			}
			if string(got) != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
		})
	}
}

func TestArgumentsSayWhatTheyWereMadeOf(t *testing.T) {
	for _, want := range []isolator.Target{{Key: "data", Path: "data"}, {Key: "a.b", Path: "/x=y:z", ReadOnly: true}} {
		if got, err := isolator.ParseTarget(want.String()); err != nil || got != want {
			t.Errorf("got %+v, %v, want %+v", got, err, want)
		}
	}
	want := isolator.Directory{Path: "/a:b", Device: 1 << 40, Inode: 1<<64 - 1}
	if got, err := isolator.ParseDirectory(want.String()); err != nil || got != want {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
	for _, text := range []string{"", "data=x", "rx:data=x", "rw:=x", "ro:data=", "rw:data", "ro:rw:"} {
		if got, err := isolator.ParseTarget(text); err == nil {
			t.Errorf("%q: got %+v", text, got)
		}
	}
	for _, text := range []string{"", "1:2", "-1:2:/a", "1:x:/a", "1:18446744073709551616:/a"} {
		if got, err := isolator.ParseDirectory(text); err == nil {
			t.Errorf("%q: got %+v", text, got)
		}
	}
}
