package isolator

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// registrationTimeout is Mesos' default of --executor_registration_timeout.
const registrationTimeout = time.Minute

// shutdownGrace is what --executor_shutdown_grace_period should be at least, Mesos'
// default.
const shutdownGrace = 5 * time.Second

// judgeMesos looks at the flags of the Mesos agent.
func judgeMesos(f *Facts) []Finding {
	flags := f.flags()
	var findings []Finding
	switch {
	case flags == nil:
		return []Finding{warn("Mesos agent", "its flags were not examined: %v", f.MesosErr)}
	case f.Mesos == nil:
		findings = append(findings, warn("Mesos agent", "its flags are those that %s tells; on this machine %v", f.Asked.URL, f.MesosErr))
	default:
		findings = append(findings, ok("Mesos agent", "process %d", f.Mesos.PID))
	}
	findings = append(findings, judgeIsolators(f)...)
	if launcher := flags["launcher"]; launcher != "" && launcher != "linux" {
		findings = append(findings, fail("--launcher", "is %s: volumes need the launcher linux", launcher))
	}
	if c := flags["containerizers"]; c != "" && !slices.Contains(splitList(c), "mesos") {
		findings = append(findings, fail("--containerizers", "is %s: volumes need the containerizer mesos", c))
	}
	findings = append(findings, judgeRegistration(f), judgeSandbox(f))
	findings = slices.Concat(findings, judgeGrace(f), judgeDirectories(f))
	return slices.DeleteFunc(findings, func(f Finding) bool { return f.Level == "" })
}

// judgeRegistration compares how long a container may wait for its volumes, and
// should be able to, with how long Mesos waits for the container.
func judgeRegistration(f *Facts) Finding {
	const subject = "--executor_registration_timeout"
	timeout, valid := f.registration()
	if !valid {
		return warn(subject, "%q is not understood", f.flags()["executor_registration_timeout"])
	}
	if f.Agent == nil {
		return Finding{}
	}
	needed := neededRegistration(f.Agent)
	say := "start the Mesos agent with --executor_registration_timeout=" + mesosDuration(needed)
	switch {
	case timeout <= f.Agent.WaitLimit:
		return fail(subject, "is %v, but a container may wait %v for its volumes, and is killed before it hears why it "+
			"can't have them: make it at least %v, or the agent's wait limit shorter; %s", timeout, f.Agent.WaitLimit, needed, say)
	case timeout < f.Agent.WaitLimit+limitMargin:
		return warn(subject, "is %v, hardly more than the %v that a container may wait for its volumes: make it at least %v; %s",
			timeout, f.Agent.WaitLimit, needed, say)
	case timeout < needed:
		return warn(subject, "is %v, a container waits %v at the most, but should be able to wait %v, as volumes took here: %s",
			timeout, f.Agent.WaitLimit, neededWait(f.Agent), say)
	}
	return ok(subject, "is %v, a container waits %v at the most", timeout, f.Agent.WaitLimit)
}

// registration returns how long Mesos waits for an executor, and false where its
// flag is not understood.
func (f *Facts) registration() (time.Duration, bool) {
	if text := f.flags()["executor_registration_timeout"]; text != "" {
		return parseMesosDuration(text)
	}
	return registrationTimeout, true
}

// judgeSandbox makes sure that prepare knows where image containers see their
// sandbox: a flag on the Mesos agent's command line does not reach it.
func judgeSandbox(f *Facts) Finding {
	dir := f.flags()["sandbox_directory"]
	if dir == "" || dir == api.SandboxPath || f.Mesos != nil && f.Mesos.Environment["sandbox_directory"] {
		return Finding{}
	}
	return fail("--sandbox_directory", "is %s on the command line, which an isolator can't see: set it by the variable %s=%s",
		dir, SandboxVariable, dir)
}

func judgeDVDCLI(f *Facts) Finding {
	const subject = "dvdcli"
	switch {
	case f.Mesos == nil:
		return Finding{} // nothing is known of its PATH
	case f.DVDCLI.Err != nil:
		return warn(subject, "%v: the Mesos agent does not start again without one; link %s to a directory of that PATH by the name dvdcli", f.DVDCLI.Err, f.Program)
	case f.DVDCLI.Path != f.Program:
		return warn(subject, "the Mesos agent's is %s: link it to %s, which runs another for other drivers when %s names it",
			f.DVDCLI.Path, f.Program, DVDCLIVariable)
	}
	return ok(subject, "is %s", f.Program)
}

// splitList reads a list that is separated by commas.
func splitList(text string) []string {
	var items []string
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			items = append(items, item)
		}
	}
	return items
}

// parseMesosDuration reads a duration such as 5mins or 90secs.
func parseMesosDuration(text string) (time.Duration, bool) {
	number := strings.TrimRightFunc(text, func(r rune) bool { return r >= 'a' && r <= 'z' })
	units := map[string]time.Duration{
		"ns": time.Nanosecond, "us": time.Microsecond, "ms": time.Millisecond, "secs": time.Second,
		"mins": time.Minute, "hrs": time.Hour, "days": 24 * time.Hour, "weeks": 7 * 24 * time.Hour,
	}
	n, err := strconv.ParseFloat(number, 64)
	unit, known := units[text[len(number):]]
	if err != nil || !known || n < 0 || n*float64(unit) > 1<<62 {
		return 0, false
	}
	return time.Duration(n * float64(unit)), true
}

// mesosDuration writes a duration as Mesos' flags want it, rounded up to seconds.
func mesosDuration(d time.Duration) string {
	seconds := (d + time.Second - 1) / time.Second
	if seconds%60 == 0 {
		return strconv.Itoa(int(seconds/60)) + "mins"
	}
	return strconv.Itoa(int(seconds)) + "secs"
}
