package cluster

import (
	"fmt"
	"strings"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// ExplainMember names the user of a dataset that is a member of a set, and the first
// waiter for a member of that set; "" if the dataset is not a member.
func (s *State) ExplainMember(d *api.Dataset, now time.Time) string {
	if d.Member == nil || d.Destroyed {
		return ""
	}
	e := explanation{d: d, node: s.Node, now: now}
	switch u := d.Member.User; {
	case u != nil:
		e.say("It is %s and belongs to %s %s.", d.Member, e.userText(u), e.at(u.Since))
	case d.Member.Last != "":
		e.say("It is %s and free: instance %s had it last.", d.Member, d.Member.Last)
	default:
		e.say("It is %s and free.", d.Member)
	}
	if set := s.Set(d.Member.Set); set != nil && len(set.Waiting) > 0 && !d.Deleted {
		e.say("%s for a member of %s.", e.waitersText(set.Waiting), set.Name)
	}
	return strings.Join(e.sentences, " ")
}

// ExplainWaiting says why a waiter for a member of a set has none yet.
func (s *State) ExplainWaiting(name string, node api.NodeID, consumer string, now time.Time) string {
	set := s.Set(name)
	place, waits := set.Waits(node, api.RootConsumer(consumer))
	if !waits {
		return ""
	}
	w := set.Waiting[place-1]
	e := explanation{node: s.Node, now: now}
	which := "a member"
	if w.Index != nil {
		which = fmt.Sprintf("member %d", *w.Index)
	}
	e.say("It waits for %s of the volume set %s %s, at place %d of the queue.", which, name, e.at(w.Since), place)
	used := 0
	const shown = 3
	e.otherZones(s, name, w)
	for d := range s.Members(name) {
		u := d.Member.User
		if u == nil || w.Index != nil && *w.Index != d.Member.Index {
			continue
		}
		if used++; used > shown {
			continue
		}
		after := ""
		if n := s.Node(u.Node); n != nil && n.Lost() {
			after = fmt.Sprintf(", whose agent has not been heard %s: it has to be seen that it can no longer write", e.at(n.Since))
		}
		e.say("%s belongs to %s%s.", nameOf(d), e.userText(u), after)
	}
	if rest := used - shown; rest > 0 {
		e.say("%d more are in use.", rest)
	}
	switch limit := s.mayHave(set, w); {
	case w.Index != nil || used < limit:
	case w.Each == api.EachInstance && set.Count == nil:
		e.say("%s", s.uncounted(now))
	default:
		e.say("The set has %d members for its instances: the first that ends leaves one.", limit)
	}
	return strings.Join(e.sentences, " ")
}

// uncounted says why the number of members of a set with one for each instance is unknown.
func (s *State) uncounted(now time.Time) string {
	const ask = "How many members the set has is not known: as many as its app has instances, which Marathon says. "
	var m api.MarathonStatus
	if j := s.Job(api.JobMarathon); j != nil && j.Marathon != nil {
		m = *j.Marathon
	}
	e := explanation{node: s.Node, now: now}
	switch {
	case !s.followed():
		e.say(ask + "No replica follows Marathon at present: start a control service with --marathon URL, or write the number, as in each = 3.")
	case !m.DownSince.IsZero():
		e.say(ask+"Marathon cannot be read %s: %s.", e.at(m.DownSince), strings.TrimSuffix(m.Cause, "."))
	default:
		e.say(ask + "It has not told of an app that asks for this set: it may in a moment. If it never does, write the number, as in each = 3.")
	}
	return strings.Join(e.sentences, " ")
}

func (e *explanation) userText(u *api.MemberUser) string {
	text := "container " + u.Consumer + " on " + e.nodeName(u.Node)
	if u.Instance != "" {
		text = "instance " + u.Instance + " (" + text + ")"
	}
	return text
}

func (e *explanation) waitersText(all []api.SetWaiter) string {
	w := all[0]
	first := "container " + w.Consumer + " on " + e.nodeName(w.Node)
	if n := len(all) - 1; n > 0 {
		return fmt.Sprintf("%s %s and %d more wait", first, e.at(w.Since), n)
	}
	return fmt.Sprintf("%s waits %s", first, e.at(w.Since))
}
