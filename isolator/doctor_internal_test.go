package isolator

import (
	"errors"
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/isolator/agenttest"
)

// healthy are the facts of a machine where all is well.
func healthy(t *testing.T) *Facts {
	t.Helper()
	text, err := ModulesJSON("/opt/flocker", "/usr/lib/libmesos-command-modules.so")
	if err != nil {
		t.Fatal(err)
	}
	modules, err := readModules(string(text))
	if err != nil {
		t.Fatal(err)
	}
	return &Facts{
		Program: "/opt/flocker/flocker-isolator", Version: "1", Socket: "/run/flocker/agent.sock",
		Agent: &api.AgentStatus{Version: "1", Node: "n1", MountRoot: "/flocker", WaitLimit: 45 * time.Second,
			Control: "connected to c1", Connected: true, Mesos: "http://127.0.0.1:5051"},
		Asked: &api.MesosInfo{URL: "http://127.0.0.1:5051", Groups: []string{"/sys/fs/cgroup/freezer/mesos"}},
		Mesos: &MesosProcess{PID: 7, Flags: map[string]string{
			"isolation": "filesystem/linux,docker/volume," + moduleName, "launcher": "linux", "modules": "/etc/modules.json",
		}},
		Modules: modules,
		Executables: map[string]Executable{
			"/usr/lib/libmesos-command-modules.so":  {Path: "/usr/lib/libmesos-command-modules.so"},
			"/opt/flocker/flocker-isolator-prepare": {Path: "/opt/flocker/flocker-isolator"},
			"/opt/flocker/flocker-isolator-cleanup": {Path: "/opt/flocker/flocker-isolator"},
		},
		DVDCLI:      Executable{Path: "/opt/flocker/flocker-isolator"},
		Mounts:      []MountPoint{{Path: "/"}, {Path: "/flocker", Shared: "12"}},
		MesosMounts: []MountPoint{{Path: "/"}, {Path: "/flocker", Master: "12"}},
	}
}

func TestDoctorFindsNothingWhereAllIsWell(t *testing.T) {
	findings := Judge(healthy(t))
	want := `ok    flocker agent                    node n1 answers on /run/flocker/agent.sock
ok    versions                         agent and isolator are both 1
ok    control service                  connected to c1
ok    mesos.agent                      http://127.0.0.1:5051 answers, its containers' control groups are in /sys/fs/cgroup/freezer/mesos
ok    Mesos agent                      process 7
ok    --isolation                      has filesystem/linux
ok    dvdcli                           is /opt/flocker/flocker-isolator
ok    --executor_registration_timeout  is 1m0s, a container waits 45s at the most
ok    --task_launch_timeout            should be at least 1m30s, Marathon's default is 5m0s; with --marathon URL it is looked up
ok    --modules                        module com_criteo_mesos_CommandIsolator calls flocker
ok    isolator_prepare_command         is /opt/flocker/flocker-isolator-prepare
ok    isolator_cleanup_command         is /opt/flocker/flocker-isolator-cleanup
ok    mount propagation                /flocker is shared, and the Mesos agent receives what is mounted there
`
	if got := FormatFindings(findings); got != want || Failed(findings) {
		t.Errorf("got\n%s", got)
	}
}

func TestDoctorFindsWhatIsWrong(t *testing.T) {
	flag := func(name, value string) func(*Facts) { return func(f *Facts) { f.Mesos.Flags[name] = value } }
	parameters := func(change func([]Parameter) []Parameter) func(*Facts) {
		return func(f *Facts) {
			m := &f.Modules.Libraries[0].Modules[0]
			m.Parameters = change(m.Parameters)
		}
	}
	trouble := func(call string, kind api.MesosTroubleKind, cause string) func(*Facts) {
		return func(f *Facts) {
			f.Asked.Troubles = map[string]*api.MesosTrouble{call: {Kind: kind, Cause: cause}}
		}
	}
	// asked has the Mesos agent tell its flags.
	asked := func(name, value string, also func(*Facts)) func(*Facts) {
		return func(f *Facts) {
			f.Asked.Flags = maps.Clone(f.Mesos.Flags)
			f.Asked.Flags[name] = value
			if also != nil {
				also(f)
			}
		}
	}
	add := func(key, value string) func(*Facts) {
		return parameters(func(p []Parameter) []Parameter { return append(p, Parameter{key, value}) })
	}
	tests := []struct {
		name   string
		change func(*Facts)
		level  Level
		want   string // of one finding
	}{
		{"no agent on the socket", func(f *Facts) {
			f.Agent, f.AgentErr = nil, &UnreachableError{"/run/x.sock", errors.New("no such file or directory")}
		}, Fail,
			"flocker agent does not answer on /run/x.sock: no such file or directory; start it"},
		{"agent down", func(f *Facts) { f.Agent, f.AgentErr = nil, errors.New("connection refused") }, Fail, "flocker agent connection refused"},
		{"other version", func(f *Facts) { f.Version = "2" }, Warn, "versions the agent is 1, this isolator, /opt/flocker/flocker-isolator, is 2"},
		{"no control service", func(f *Facts) { f.Agent.Connected = false }, Warn, "control service"},
		{"agent without Mesos", func(f *Facts) { f.Agent.Mesos, f.Asked = "", nil }, Warn, "mesos.agent is not set in agent.yml"},
		{"an agent that cannot ask Mesos", func(f *Facts) { f.Asked, f.AskedErr = nil, errors.New("it knows no such request") }, Warn, "mesos.agent http://127.0.0.1:5051 was not examined: it knows no such request"},
		{"nothing listens", trouble("flags", api.MesosUnheard, "connection refused"), Fail, "mesos.agent the flags cannot be told, so volumes of containers that Mesos forgets to clean up stay on this machine: connection refused"},
		{"wrong credentials", trouble("containers", api.MesosDenied, "answers 401"), Fail, "the containers cannot be told"},
		{"tasks are not allowed", trouble("tasks", api.MesosDenied, "answers 403"), Fail, "labels of pods' tasks are not read"},
		{"frameworks are not allowed", trouble("frameworks", api.MesosDenied, "answers 403"), Warn, "the owner of a container without a role"},
		{"unknown control groups", trouble("control groups", api.MesosGroups, "--cgroups_root=blue"), Fail, "--cgroups_root=blue"},
		{"trouble a moment ago", func(f *Facts) { f.Agent.MesosTrouble = &api.MesosTrouble{Cause: "connection refused"} }, Warn, "answers now, but since 00:00:00"},
		{"another agent answers", asked("work_dir", "/var/lib/other", func(f *Facts) { f.Mesos.Flags["work_dir"] = "/var/lib/mesos" }), Fail,
			"is another Mesos agent than process 7: it has --work_dir=/var/lib/other, the process has /var/lib/mesos"},
		{"no process, but an answer", asked("launcher", "posix", func(f *Facts) { f.Mesos, f.MesosErr = nil, errors.New("no process runs") }), Fail, "--launcher is posix"},
		{"the defaults count that only the agent tells", asked("executor_registration_timeout", "30secs", nil), Fail, "is 30s, but a container may wait 45s"},
		{"filesystem/posix too", flag("isolation", "filesystem/posix,filesystem/linux,"+moduleName), Fail, "remove filesystem/posix"},
		{"no cgroups isolator on v1", func(f *Facts) { f.CgroupsV1 = true }, Warn, "has no isolator cgroups/"},
		{"a cgroups isolator on v1", func(f *Facts) {
			f.CgroupsV1 = true
			f.Mesos.Flags["isolation"] += ",cgroups/mem"
		}, OK, "has filesystem/linux"},
		{"CSI without its directory", flag("isolation", "filesystem/linux,volume/csi,"+moduleName), Fail, "--csi_plugin_config_dir is not set"},
		{"a work directory that is not here", func(f *Facts) { f.MesosDirs = []MesosDir{{"work_dir", "/var/lib/mesos", os.ErrNotExist}} }, Warn, "--work_dir is /var/lib/mesos, which cannot be read here"},
		{"a work directory that is cleaned up", func(f *Facts) { f.MesosDirs = []MesosDir{{"work_dir", "/tmp/mesos", nil}} }, Warn, "start the Mesos agent with --work_dir"},
		{"a runtime directory among the volumes", func(f *Facts) { f.MesosDirs = []MesosDir{{"runtime_dir", "/flocker/x", nil}} }, Fail, "--runtime_dir is /flocker/x, below /flocker"},
		{"no grace", flag("executor_shutdown_grace_period", "0ns"), Warn, "--executor_shutdown_grace_period is 0s"},
		{"grace nonsense", flag("executor_shutdown_grace_period", "long"), Warn, `--executor_shutdown_grace_period "long" is not understood`},
		{"recover cleans up", flag("recover", "cleanup"), Warn, "--recover is cleanup"},
		{"no Mesos agent", func(f *Facts) { f.Mesos, f.MesosErr = nil, errors.New("no process") }, Warn, "its flags were not examined: no process"},
		{"no filesystem/linux", flag("isolation", moduleName), Fail, "--isolation lacks filesystem/linux"},
		{"module not in isolation", flag("isolation", "filesystem/linux"), Fail, "--isolation lacks com_criteo_mesos_CommandIsolator, so"},
		{"another module in isolation", flag("isolation", "filesystem/linux,"+moduleName+"2"), Fail, "--isolation lacks com_criteo_mesos_CommandIsolator, so"},
		{"posix launcher", flag("launcher", "posix"), Fail, "--launcher is posix"},
		{"docker alone", flag("containerizers", "docker"), Fail, "--containerizers is docker"},
		{"both containerizers", flag("containerizers", "docker,mesos"), OK, ""},
		{"registration too short", flag("executor_registration_timeout", "30secs"), Fail, "is 30s, but a container may wait 45s"},
		{"registration tight", flag("executor_registration_timeout", "46secs"), Warn, "hardly more than the 45s"},
		{"registration long", flag("executor_registration_timeout", "5mins"), OK, ""},
		{"registration nonsense", flag("executor_registration_timeout", "soon"), Warn, `"soon" is not understood`},
		{"sandbox elsewhere by flag", flag("sandbox_directory", "/work"), Fail, "MESOS_SANDBOX_DIRECTORY=/work"},
		{"sandbox elsewhere by variable", func(f *Facts) {
			f.Mesos.Flags["sandbox_directory"] = "/work"
			f.Mesos.Environment = map[string]bool{"sandbox_directory": true}
		}, OK, ""},
		{"no dvdcli", func(f *Facts) { f.DVDCLI = Executable{Err: errors.New("no dvdcli")} }, Warn, "dvdcli no dvdcli: the Mesos agent does not start again without one"},
		{"another dvdcli", func(f *Facts) { f.DVDCLI.Path = "/usr/bin/dvdcli" }, Warn, "dvdcli the Mesos agent's is /usr/bin/dvdcli"},
		{"another dvdcli that nobody uses", func(f *Facts) {
			f.DVDCLI.Path = "/usr/bin/dvdcli"
			f.Mesos.Flags["isolation"] = "filesystem/linux," + moduleName
		}, OK, ""},
		{"no modules", func(f *Facts) { f.Modules = nil }, Fail, "--modules is not set"},
		{"a directory of modules", func(f *Facts) { f.Modules, f.Mesos.Flags["modules_dir"] = nil, "/etc/modules" }, Warn, "are in /etc/modules"},
		{"bad modules", func(f *Facts) { f.Modules, f.ModulesErr = nil, errors.New("read modules: unexpected end") }, Fail, "--modules read modules: unexpected end"},
		{"other modules", func(f *Facts) { f.Modules.Libraries[0].Modules[0].Name = "org_apache_mesos_X" }, Fail, "no module com_criteo_mesos_CommandIsolator has a command"},
		{"no such twelfth module", func(f *Facts) { f.Modules.Libraries[0].Modules[0].Name = moduleName + "12" }, Fail, "no module"},
		{"library missing", func(f *Facts) {
			f.Executables["/usr/lib/libmesos-command-modules.so"] = Executable{Err: errors.New("no such file")}
		}, Fail, "module library /usr/lib/libmesos-command-modules.so: no such file"},
		{"no module name", parameters(func(p []Parameter) []Parameter { return p[1:] }), Fail, "module_name is missing"},
		{"old parameter names", parameters(func(p []Parameter) []Parameter {
			p[1].Key = "isolator_prepare"
			return p
		}), Fail, "isolator_prepare_command is missing: the parameter is called isolator_prepare here"},
		{"no cleanup", parameters(func(p []Parameter) []Parameter { return p[:2] }), Fail, "isolator_cleanup_command is missing: add it with the path of flocker-isolator-cleanup"},
		{"a command with arguments", parameters(func(p []Parameter) []Parameter {
			p[1].Value = "/opt/flocker/flocker-isolator prepare"
			return p
		}), Fail, "must be a path alone"},
		{"a program of another name", parameters(func(p []Parameter) []Parameter {
			p[1].Value = "/opt/flocker/flocker-isolator"
			return p
		}), Fail, "must be called flocker-isolator-prepare"},
		{"a program that is not there", func(f *Facts) {
			f.Executables["/opt/flocker/flocker-isolator-prepare"] = Executable{Err: errors.New("it is not executable")}
		}, Fail, "isolator_prepare_command /opt/flocker/flocker-isolator-prepare: it is not executable"},
		{"a timeout that is too short", add("isolator_prepare_timeout", "3"), Fail, "isolator_prepare_timeout is 3s, but the call may take 4s"},
		{"a timeout that is no number", add("isolator_cleanup_timeout", "30s"), Fail, `"30s" must be whole seconds`},
		{"a good timeout", add("isolator_prepare_timeout", "30"), OK, "isolator_prepare_timeout is 30 s"},
		{"mounts unreadable", func(f *Facts) { f.MountsErr = errors.New("permission denied") }, Warn, "can't be examined: permission denied"},
		{"not mounted", func(f *Facts) { f.Mounts = nil }, Fail, "/flocker is not a mount point here"},
		{"not shared", func(f *Facts) { f.Mounts[1].Shared = "" }, Fail, "/flocker is not a shared mount"},
		{"covered by a private mount", func(f *Facts) { f.Mounts = append(f.Mounts, MountPoint{Path: "/flocker"}) }, Fail, "/flocker is not a shared mount"},
		{"Mesos in another namespace", func(f *Facts) { f.MesosMounts = nil }, Fail, "the Mesos agent, process 7, does not see /flocker"},
		{"Mesos with private mounts", func(f *Facts) { f.MesosMounts[1].Master = "" }, Fail, "/flocker is private in the mount namespace of the Mesos agent"},
		{"Mesos in the same peer group", func(f *Facts) { f.MesosMounts[1] = f.Mounts[1] }, OK, "mount propagation /flocker is shared"},
		{"Mesos with another peer group", func(f *Facts) { f.MesosMounts[1].Master = "13" }, Warn, "from another peer group"},
		{"Mesos not examined", func(f *Facts) { f.Mesos = nil }, OK, "the Mesos agent's view of it was not examined"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			f := healthy(t)
			tt.change(f)
			findings := Judge(f)
			found := tt.want == ""
			for _, g := range findings {
				if g.Level == tt.level && tt.want != "" && strings.Contains(g.Subject+" "+g.Text, tt.want) {
					found = true
				}
				if g.Level == Fail && tt.level != Fail {
					t.Errorf("got %+v", g)
				}
			}
			if !found || Failed(findings) != (tt.level == Fail) {
				t.Errorf("want %s %q, got\n%s", tt.level, tt.want, FormatFindings(findings))
			}
		})
	}
}

func TestParseMesos(t *testing.T) {
	got := parseMesos(3, []string{"--isolation=a,b", "--no-switch_user", "--strict", "--work_dir=/x=y", "plain"},
		[]string{"MESOS_ISOLATION=c", "MESOS_SANDBOX_DIRECTORY=/work", "PATH=/bin", ""})
	want := &MesosProcess{
		PID: 3, Path: "/bin",
		Flags: map[string]string{"isolation": "a,b", "switch_user": "false", "strict": "true", "work_dir": "/x=y",
			"sandbox_directory": "/work"},
		Environment: map[string]bool{"sandbox_directory": true},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestParseMounts(t *testing.T) {
	got := parseMounts(`22 27 0:21 / /proc rw,relatime - proc proc rw
1300 27 0:40 / /flocker\040one rw shared:12 master:3 propagate_from:2 - ext4 /dev/x rw
1301 27 0:40 / /slave rw master:3 - ext4 shared:9 rw
short line
`)
	want := []MountPoint{{"/proc", "", ""}, {"/flocker one", "12", "3"}, {"/slave", "", "3"}}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, want %+v", got, want)
	}
}

func TestParseMesosDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"1mins": time.Minute, "90secs": 90 * time.Second, "1.5hrs": 90 * time.Minute, "500ms": 500 * time.Millisecond,
		"": -1, "5": -1, "5m": -1, "mins": -1, "-1secs": -1, "1e300weeks": -1,
	} {
		got, valid := parseMesosDuration(text)
		if valid != (want >= 0) || valid && got != want {
			t.Errorf("%q: got %v, %v", text, got, valid)
		}
	}
}

// TestDoctorGathersTheFactsOfAMachine looks at a made-up proc.
func TestDoctorGathersTheFactsOfAMachine(t *testing.T) {
	dir := t.TempDir()
	write := func(path, text string, mode os.FileMode) string {
		t.Helper()
		path = filepath.Join(dir, path)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	program := write("bin/flocker-isolator", "", 0o755)
	for _, name := range []string{"flocker-isolator-prepare", "flocker-isolator-cleanup", "dvdcli"} {
		if err := os.Symlink(program, filepath.Join(dir, "bin", name)); err != nil {
			t.Fatal(err)
		}
	}
	modules, err := ModulesJSON(filepath.Join(dir, "bin"), write("lib.so", "", 0o644))
	if err != nil {
		t.Fatal(err)
	}
	modulesFile := write("modules.json", string(modules), 0o644)
	mounts := "30 1 0:1 / /flocker rw shared:5 - tmpfs x rw\n"
	write("proc/self/mountinfo", mounts, 0o644)
	write("proc/9/cmdline", "/usr/bin/other\x00", 0o644)
	write("proc/12/cmdline", strings.Join([]string{"/usr/sbin/mesos-agent", "--modules=file://" + modulesFile,
		"--isolation=filesystem/linux,docker/volume," + moduleName}, "\x00")+"\x00", 0o644)
	write("proc/12/environ", "PATH=/nowhere:"+filepath.Join(dir, "bin")+"\x00", 0o644)
	write("proc/12/mountinfo", mounts, 0o644)
	agent := agenttest.Start(t, func(req api.LocalRequest, conn *agenttest.Conn) {
		if req.Mesos != nil {
			conn.Send(api.LocalReply{Done: true, Mesos: &api.MesosInfo{Groups: []string{"/sys/fs/cgroup/mesos"}}})
			return
		}
		conn.Send(api.LocalReply{Done: true, Status: &api.AgentStatus{
			Version: "1", MountRoot: "/flocker", WaitLimit: 45 * time.Second, Connected: true, Mesos: "http://x"}})
	})
	d := Doctor{Socket: agent.Socket, Version: "1", Program: program, Proc: filepath.Join(dir, "proc")}
	for name, pid := range map[string]int{"looked for": 0, "named": 12} {
		t.Run(name, func(t *testing.T) {
			d.MesosPID = pid
			findings := Judge(d.Examine(t.Context()))
			for _, f := range findings {
				if f.Level != OK {
					t.Errorf("got %+v", f)
				}
			}
			if len(findings) != 13 {
				t.Errorf("got\n%s", FormatFindings(findings))
			}
		})
	}
	t.Run("not there", func(t *testing.T) {
		d.MesosPID = 13
		d.ModulesFile = "/nowhere"
		d.Socket = "/nowhere"
		findings := Judge(d.Examine(t.Context()))
		if text := FormatFindings(findings); !Failed(findings) || !strings.Contains(text, "read modules: open /nowhere") ||
			!strings.Contains(text, filepath.Join(d.Proc, strconv.Itoa(13), "cmdline")) {
			t.Errorf("got\n%s", text)
		}
	})
}

func TestLookFile(t *testing.T) {
	dir := t.TempDir()
	plain := filepath.Join(dir, "plain")
	if err := os.WriteFile(plain, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		plain: "not executable", dir: "not a file", filepath.Join(dir, "x"): "no such file",
	} {
		if got := lookFile(path, 0o111); got.Err == nil || !strings.Contains(got.Err.Error(), want) {
			t.Errorf("%s: got %+v, want %s", path, got, want)
		}
	}
	if got := lookPath("plain", dir); got.Err == nil {
		t.Errorf("got %+v", got)
	}
}
