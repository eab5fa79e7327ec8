package cluster

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/flocker-mesos/flocker/api"
)

// doubt says that the holder cannot tell whether containers still use it.
func (e *explanation) doubt(holder *api.Node) {
	if e.st == nil || holder.MesosTrouble == nil || holder.Lost() || !slices.ContainsFunc(e.st.Consumers, func(c api.Consumer) bool { return c.Kind == api.ConsumerMesos }) {
		return
	}
	t := holder.MesosTrouble
	e.say("The agent of %s cannot tell which containers Mesos still runs: %s, %s. It keeps the volume even if they have ended without a cleanup.",
		holder.Name(), strings.TrimRight(t.Cause, ". \n"), e.at(t.Since))
}

// health says what is wrong with the mounted file system, and reports whether anything
// is.
func (e *explanation) health() bool {
	if e.st == nil || e.st.Health == nil {
		return false
	}
	h := e.st.Health
	cause := h.Cause
	if cause == "" {
		cause = "its file system is " + string(h.Kind)
	}
	e.say("%s, %s.", strings.ToUpper(cause[:1])+strings.TrimRight(cause[1:], ". \n"), e.at(h.Since))
	if h.Remedy != "" {
		e.say("%s.", strings.TrimRight(h.Remedy, ". \n"))
	}
	return true
}

// liveness says since when the holder's agent is lost, if it is.
func (e *explanation) liveness(holder *api.Node) (lost bool) {
	if holder.Connected {
		return false
	}
	e.say("The agent of %s has not been heard %s.", holder.Name(), e.at(holder.Since))
	if !holder.GivenUp.IsZero() {
		e.say("An operator gave the machine up for lost %s.", e.ago(holder.GivenUp))
	}
	if e.mesos != nil {
		e.evidence(e.mesos(holder.ID))
	}
	return true
}

// failure says why the holder's last step failed, since when, and when the next try is.
// It reports whether something is wrong. If the holder is lost, the time of the next try
// is unknown.
func (e *explanation) failure(holder *api.Node, lost bool) bool {
	if e.st == nil {
		return false
	}
	f := e.st.Failure
	if f == nil {
		return e.st.Phase == api.PhaseVanished || e.st.Phase == api.PhaseForeign
	}
	times := "once"
	if f.Attempts > 1 {
		times = fmt.Sprintf("%d times", f.Attempts)
	}
	next := "It is not tried again before something changes."
	switch {
	case lost:
		next = "It is tried again when that agent is back, if it is still needed."
	case !f.NextTry.IsZero():
		next = fmt.Sprintf("The next try is at %s%s.", stamp(f.NextTry), in(f.NextTry.Sub(e.now)))
	}
	e.say("%s cannot %s: %s. This has failed %s %s. %s", holder.Name(), cmp.Or(f.Action, "bring it up"),
		strings.TrimRight(f.Cause, ". \n"), times, e.at(f.Since), next)
	return true
}

// silence says what follows from a lost holder that no node fences.
func (e *explanation) silence(holder string) {
	what := "its containers may still be running and writing, so no other node gets the volume"
	if e.d.Deleted {
		what = "it may still be writing, so the volume is not destroyed"
	}
	if wantedElsewhere(e.d) {
		e.say("No other node%s with the same storage system is connected to keep %s from writing. Until one is, %s.", e.inZone(), holder, what)
		return
	}
	e.say("While %s is silent, %s. It goes on when the agent is back: start it, or check the machine. "+
		"A node that asks for the volume fences %s first.", holder, what, holder)
}

// fence says how far the fencing of the lost holder is.
func (e *explanation) fence(holder string) {
	f := e.d.Fence
	by := e.nodeName(f.Node)
	switch {
	case f.Begun:
		e.say("%s takes the volume away from %s, whose tenure has ended, %s.", by, holder, e.at(f.Since))
	case f.Finding == "":
		e.say("%s checks whether %s can still write to it, %s.", by, holder, e.at(f.Since))
	case f.Policy == api.FenceWait:
		e.say("%s may still be writing: %s, %s. %s does not take the volume before that ends: check the machine.", holder, f.Finding, e.at(f.Since), by)
		if !f.Vouched { // else the finding says what its loss needs
			e.say("If it is off, declare it lost: flocker nodes lost %s.", holder)
		}
	default:
		e.say("%s: %s, %s. %s is to fence it (%s).", holder, f.Finding, e.at(f.Since), by, f.Policy)
	}
	switch {
	case e.d.Deleted:
	case len(e.d.Waiting) == 0 && e.d.Member != nil && e.d.Member.Sought:
		e.say("Then the instance that has waited longest for a member of %s gets it.", e.d.Member.Set)
	default:
		e.say("Then %s gets it.", e.nodeName(e.next()))
	}
}
