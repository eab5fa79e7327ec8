package isolator

import (
	"cmp"
	"fmt"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

const (
	// enoughTimes is how many volumes must have been seen before the slowest in a
	// thousand is worth more than the slowest of all.
	enoughTimes = 1000
	// timesRounding is what computed settings are rounded up to.
	timesRounding = 5 * time.Second
	// launchMargin is how much longer Marathon must wait for a task than Mesos for
	// its executor: so long as Mesos hears of the task and tells of its end.
	launchMargin = 30 * time.Second
	// launchTimeout is Marathon's default of --task_launch_timeout.
	launchTimeout = 5 * time.Minute
)

// slowest returns the way and size of the volumes that took longest on this
// machine, and how long that was. It is not ok where nothing was counted.
func slowest(s *api.AgentStatus) (v api.VolumeTimes, took time.Duration, ok bool) {
	for _, t := range s.Times {
		d := t.Max
		if t.Count >= enoughTimes {
			d = t.P999
		}
		if t.Count > 0 && (!ok || d > took) {
			v, took, ok = t, d, true
		}
	}
	return v, took, ok
}

// neededWait returns how long a container should be able to wait for its volumes,
// by how long they took: half as long again as the slowest, and where containers
// gave up, longer than they could wait. Volumes that others use meanwhile are
// among them, since their time counts from when they were asked for.
func neededWait(s *api.AgentStatus) time.Duration {
	_, took, ok := slowest(s)
	needed := s.WaitLimit
	if ok && took*3/2 > needed {
		needed = roundUp(took * 3 / 2)
	}
	if gaveUp(s) > 0 && needed <= s.WaitLimit {
		needed = roundUp(s.WaitLimit * 2)
	}
	return needed
}

func roundUp(d time.Duration) time.Duration {
	return (d + timesRounding - 1).Truncate(timesRounding)
}

func gaveUp(s *api.AgentStatus) uint64 {
	var n uint64
	for _, t := range s.Times {
		n += t.GaveUp
	}
	return n
}

// neededRegistration is what --executor_registration_timeout of the Mesos agent
// must be at least. Mesos counts from when it launches the container, whose wait
// for volumes it takes for a wait of its executor.
func neededRegistration(s *api.AgentStatus) time.Duration { return neededWait(s) + limitMargin }

// judgeTimes compares how long volumes took on this machine with how long
// containers wait for them.
func judgeTimes(f *Facts) []Finding {
	const subject = "wait-limit"
	if f.Agent == nil {
		return nil // judgeAgent has said so
	}
	v, took, known := slowest(f.Agent)
	needed, n := neededWait(f.Agent), gaveUp(f.Agent)
	say := fmt.Sprintf("set wait-limit: %s in agent.yml, and what Mesos and Marathon wait accordingly", api.FormatDuration(needed))
	switch {
	case n > 0:
		return []Finding{warn(subject, "is %s, and %d containers ended here when they had waited so long for their volumes: if these "+
			"were not in use elsewhere for good, %s", api.FormatDuration(f.Agent.WaitLimit), n, say)}
	case !known:
		return nil // there is nothing to say yet
	case needed > f.Agent.WaitLimit:
		return []Finding{warn(subject, "is %s, but volumes took up to %s here (%s): %s",
			api.FormatDuration(f.Agent.WaitLimit), shortTime(took), timesText(v), say)}
	}
	return []Finding{ok(subject, "is %s, volumes took up to %s here (%s)", api.FormatDuration(f.Agent.WaitLimit), shortTime(took), timesText(v))}
}

// judgeMarathon compares how long Marathon waits for a task with how long volumes
// may take, and with how long Mesos waits for the task's executor.
func judgeMarathon(f *Facts) []Finding {
	const subject = "--task_launch_timeout"
	if f.Agent == nil {
		return nil
	}
	least := neededRegistration(f.Agent) + launchMargin
	allowed := least // as long as Mesos may take to say why a task does not run
	if f.flags() != nil {
		if timeout, valid := f.registration(); valid {
			allowed = max(allowed, timeout+launchMargin)
		}
	}
	say := fmt.Sprintf("start Marathon with --task_launch_timeout %d", allowed.Milliseconds())
	switch {
	case f.MarathonErr != nil:
		return []Finding{warn(subject, "can't be looked up: %v; it must be at least %v: %s", f.MarathonErr, allowed, say)}
	case f.Marathon == nil && allowed > launchTimeout:
		return []Finding{warn(subject, "should be at least %v, and Marathon's default is %v: %s; with --marathon URL it is looked up",
			allowed, launchTimeout, say)}
	case f.Marathon == nil:
		return []Finding{ok(subject, "should be at least %v, Marathon's default is %v; with --marathon URL it is looked up", allowed, launchTimeout)}
	case f.Marathon.TaskLaunchTimeout == 0:
		return []Finding{warn(subject, "is not told by Marathon %s; it should be at least %v: %s", f.Marathon.Version, allowed, say)}
	case f.Marathon.TaskLaunchTimeout < least:
		return []Finding{fail(subject, "is %v, but a task may wait %v for its volumes, and is killed before: %s",
			f.Marathon.TaskLaunchTimeout, neededWait(f.Agent), say)}
	case f.Marathon.TaskLaunchTimeout < allowed:
		return []Finding{warn(subject, "is %v, no more than Mesos waits for an executor, so that Marathon kills tasks before Mesos says "+
			"why they do not run: %s", f.Marathon.TaskLaunchTimeout, say)}
	}
	return []Finding{ok(subject, "is %v, at least %v are needed", f.Marathon.TaskLaunchTimeout, allowed)}
}

// timesText names the volumes that were counted together.
func timesText(v api.VolumeTimes) string { return wayText(v.Way) + ", " + sizeText(v.UpTo) }

// wayTexts name the ways for people.
var wayTexts = map[api.VolumeWay]string{
	api.WayHere: "already here", api.WayAttach: "attached", api.WayCreate: "made and formatted",
	api.WayMove: "moved from another node", api.WayFence: "after fencing a lost node",
}

func wayText(way api.VolumeWay) string {
	return cmp.Or(wayTexts[way], string(way)) // what is not there is a newer agent's word
}

func sizeText(upTo int64) string {
	if upTo == 0 {
		return "larger than 1TiB"
	}
	return "up to " + api.FormatSize(upTo)
}

// FormatTimes returns a table of how long volumes took on this machine, "" where
// none did.
func FormatTimes(s *api.AgentStatus) string {
	if s == nil || len(s.Times) == 0 {
		return ""
	}
	var table strings.Builder
	fmt.Fprintf(&table, "How long volumes took here until they were ready, since %s:\n\n", s.TimesSince.UTC().Format(time.DateOnly))
	w := tabwriter.NewWriter(&table, 0, 0, 3, ' ', 0)
	fmt.Fprintln(w, "HOW\tSIZE\tVOLUMES\tHALF OF THEM\t99 %\t99.9 %\tSLOWEST\tGAVE UP")
	for _, v := range s.Times {
		took := []string{"-", "-", "-", "-"}
		if v.Count > 0 {
			took = []string{shortTime(v.P50), shortTime(v.P99), shortTime(v.P999), shortTime(v.Max)}
		}
		fmt.Fprintf(w, "%s\t%s\t%d\t%s\t%d\n", wayText(v.Way), sizeText(v.UpTo), v.Count, strings.Join(took, "\t"), v.GaveUp)
	}
	_ = w.Flush() // to memory
	return table.String()
}

// shortTime writes a time as exactly as it is worth: 2ms, 1.3s, 2m5s.
func shortTime(d time.Duration) string {
	switch {
	case d < 10*time.Millisecond:
		return d.Round(100 * time.Microsecond).String()
	case d < time.Second:
		return d.Round(time.Millisecond).String()
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	default:
		return d.Round(time.Second).String()
	}
}
