package check

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/flocker-mesos/flocker/marathon"
)

func lookUnreachable(p *probe) {
	s := p.unreachable
	if s == nil || len(p.volumes) == 0 {
		return
	}
	at := pointer(p.at.unreachable...)
	r := remedy{patch: p.set([]byte(`{"inactiveAfterSeconds":0,"expungeAfterSeconds":0}`), p.at.unreachable...)}
	switch {
	case s.Ignored != "":
		p.as(Note).find(at, r, "unreachableStrategy is %s, which Marathon ignores without a word: it takes its default, 0 and 0",
			brief([]byte(s.Ignored)))
	case s.Disabled:
		p.find(at, r, "unreachableStrategy is disabled: when the app's machine is lost, Marathon starts the app nowhere else")
	case s.ExpungeAfter < s.InactiveAfter:
		p.as(Error).find(at, r, "expungeAfterSeconds is less than inactiveAfterSeconds, which Marathon refuses")
	case s.InactiveAfter > 0:
		p.find(at, r, "when the app's machine is lost, Marathon starts it elsewhere only after %v", s.InactiveAfter)
	}
}

// How a volume is waited for when back-offs are judged: each instance waits for as
// long as an agent lets it, and the volume is free after five minutes.
const (
	waitLimit     = 45 * time.Second
	longWait      = 5 * time.Minute
	maxStandby    = time.Minute
	mendedDelay   = 60
	mendedBackoff = 5
)

// delay returns how long Marathon waits before the next launch when a volume has
// been waited for during a time.
func (b backoff) delay(wait time.Duration) time.Duration {
	delay := b.seconds
	for waited := waitLimit.Seconds(); waited+delay < wait.Seconds(); waited += delay + waitLimit.Seconds() {
		delay = min(delay*max(b.factor, 1), b.limit)
	}
	const longest = float64(365 * 24 * time.Hour / time.Second)
	return time.Duration(min(delay, longest) * float64(time.Second)).Round(time.Second)
}

func lookBackoff(p *probe) {
	if len(p.volumes) == 0 {
		return
	}
	delay := p.backoff.delay(longWait)
	if delay <= maxStandby {
		return
	}
	r := remedy{patch: p.set([]byte(strconv.Itoa(mendedDelay)), p.at.maxDelay...)}
	at := pointer(p.at.maxDelay...)
	switch {
	case p.backoff.seconds > mendedDelay:
		at = pointer(p.at.backoff...)
		r = remedy{
			text:  fmt.Sprintf("set %s to %d", last(p.at.backoff), mendedBackoff),
			patch: p.set([]byte(strconv.Itoa(mendedBackoff)), p.at.backoff...),
		}
	case !p.has(p.at.maxDelay...):
		at = pointer(p.at.factor...)
	}
	if r.text == "" {
		r.text = fmt.Sprintf("set %s to %d", last(p.at.maxDelay), mendedDelay)
	}
	p.find(at, r, "after five minutes of waiting for a volume the next instance is started %v later", delay)
}

func last(tokens []string) string { return tokens[len(tokens)-1] }

// databases are programs that keep data, by words of their images, commands and
// names.
var databases = []string{
	"postgres", "mysql", "mariadb", "mongo", "cassandra", "scylla", "redis", "elasticsearch", "opensearch", "kafka", "zookeeper", "etcd",
	"influxdb", "couchdb", "couchbase", "neo4j", "rabbitmq", "cockroach", "clickhouse", "timescale", "prometheus", "oracle", "mssql",
	"database",
}

// database returns the word by which a container looks like a database, "" if it
// does not.
func (w *workload) database(c container) string {
	words := strings.FieldsFunc(strings.ToLower(w.ID), func(r rune) bool { return strings.ContainsRune("/-._", r) })
	if slices.Contains(words, "db") {
		return w.ID
	}
	where := strings.ToLower(strings.Join([]string{c.image, c.text, c.name, w.ID}, " "))
	for _, word := range databases {
		if strings.Contains(where, word) {
			return word
		}
	}
	return ""
}

func lookGrace(p *probe) {
	for _, v := range p.volumes {
		c := p.containers[v.container]
		if c.grace == nil || *c.grace != 0 || v.ReadOnly {
			continue
		}
		if word := p.database(c); word != "" {
			name := last(c.graced)
			p.find(pointer(c.graced...), remedy{patch: p.set([]byte("30"), c.graced...)}, "%s is 0, and this looks like a database (%s)", name, word)
			return
		}
	}
}

// checkCluster looks at the time limits, which concern all apps with volumes.
func checkCluster(all []*workload, c *Context) []Finding {
	t := c.Timeouts
	wait := t.Wait
	if wait == 0 {
		wait = waitLimit
	}
	rule := ruleOf("launch-timeout")
	var findings []Finding
	find := func(severity Severity, path, what string, args ...any) {
		findings = append(findings, Finding{
			Severity: severity, Rule: rule.ID, Path: path, What: fmt.Sprintf(what, args...), Why: rule.Why, Fix: rule.Fix,
		})
	}
	concerned := false
	for _, w := range all {
		concerned = concerned || len(w.volumes) > 0
	}
	if !concerned {
		return nil
	}
	if r := t.ExecutorRegistration; r != 0 && r <= wait {
		find(Error, "/executor_registration_timeout", "--executor_registration_timeout of the Mesos agents is %v, and a container may wait %v for its volumes", r, wait)
	}
	needed := max(wait, t.ExecutorRegistration)
	if l := t.TaskLaunch; l != 0 && l <= needed {
		find(Warning, "/task_launch_timeout", "--task_launch_timeout of Marathon is %v, and a launch may take %v", l, needed)
	}
	return findings
}

func ruleOf(id string) *Rule {
	for _, r := range Rules() {
		if r.ID == id {
			return r
		}
	}
	return &Rule{ID: id}
}

// external returns the entries of container.volumes that are external, with their
// numbers.
func (w *workload) external(f func(number string, v marathon.ContainerVolume)) {
	if w.app == nil || w.app.Container == nil {
		return
	}
	for i, v := range w.app.Container.Volumes {
		if v.External != nil {
			f(strconv.Itoa(i), v)
		}
	}
}
