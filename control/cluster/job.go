package cluster

import (
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// TakeJob makes a replica do a job, where nobody does who is there. What is
// noted of the job stays.
type TakeJob struct {
	At      time.Time
	Name    string
	Replica api.ReplicaID
}

// Apply decides the command. The Outcome has the job: whose it is, it says.
func (c TakeJob) Apply(s *State) (Outcome, error) {
	if s.Replica(c.Replica) == nil {
		return Outcome{}, api.Errorf(api.CodeUnavailable, "replica %s is none of the cluster's: it does no jobs", c.Replica)
	}
	j := s.Job(c.Name)
	if j != nil && (j.Owner == c.Replica || s.Serves(j.Owner)) {
		return Outcome{Job: j}, nil
	}
	taken := api.Job{Name: c.Name}
	if j != nil {
		taken = *j
	}
	taken.Owner, taken.Since, taken.Revision = c.Replica, c.At, s.revision+1
	return Outcome{Changes: []Change{putJob(&taken)}, Job: &taken}, nil
}

// Job returns a job, nil where nobody has ever done it.
func (s *State) Job(name string) *api.Job {
	j, _ := s.jobs.Get(name)
	return j
}

// checkFollower reports why what a replica says of Marathon does not count: another
// one follows it by now.
func (s *State) checkFollower(replica api.ReplicaID) error {
	if j := s.Job(api.JobMarathon); j == nil || j.Owner != replica {
		return api.Errorf(api.CodeStale, "replica %s does not follow Marathon, or does no more", replica)
	}
	return nil
}

// followed reports whether a replica follows Marathon.
func (s *State) followed() bool {
	j := s.Job(api.JobMarathon)
	return j != nil && s.Serves(j.Owner)
}

// Serves reports whether a replica is there, for all that is known.
func (s *State) Serves(id api.ReplicaID) bool {
	r := s.Replica(id)
	return r != nil && r.Lost.IsZero()
}

// NoteMarathon notes how well Marathon can be followed.
type NoteMarathon struct {
	Replica api.ReplicaID
	Status  api.MarathonStatus
}

// Apply decides the command.
func (c NoteMarathon) Apply(s *State) (Outcome, error) {
	if err := s.checkFollower(c.Replica); err != nil {
		return Outcome{}, err
	}
	old := s.Job(api.JobMarathon)
	c.Status.Cause = clipped(c.Status.Cause, maxCause)
	if old.Marathon != nil && *old.Marathon == c.Status {
		return Outcome{Job: old}, nil
	}
	j := *old
	j.Marathon, j.Revision = &c.Status, s.revision+1
	return Outcome{Changes: []Change{putJob(&j)}, Job: &j}, nil
}

// clipped returns the beginning of a text that comes from outside.
func clipped(text string, limit int) string {
	if len(text) <= limit {
		return text
	}
	for limit > 0 && text[limit]&0xC0 == 0x80 { // not within a character
		limit--
	}
	return text[:limit]
}
