package client

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"time"
)

// errSettled is the end of a session so that the next one begins where the
// agent belongs.
var errSettled = errors.New("the agent goes to the replica where it belongs, which is back")

// errRenewed is the end of a session so that the next one shows the new
// certificate.
var errRenewed = errors.New("the agent's certificate was renewed, and the next stream shows the new one")

// settle ends the session when the agent's certificate is another one by now, so
// that the control service knows until when it is valid, and when it is not with the replica that the agent
// prefers, which can be reached again: else whoever was away would stay idle
// after it is back. It takes its time, another time for every agent, and
// disturbs no call.
func (s *Session) settle() {
	for {
		wait := time.NewTimer(s.cfg.Settle/2 + rand.N(s.cfg.Settle))
		select {
		case <-s.life.Done():
			wait.Stop()
			return
		case <-wait.C:
		}
		// None is one that cannot be used: then the stream that is there is the last.
		if now := s.cfg.certificate(); now != nil && s.calls.Load() == 0 && !bytes.Equal(s.shown, now) {
			s.end(errRenewed)
			return
		}
		if s.calls.Load() == 0 && s.belongsElsewhere() && s.calls.Load() == 0 {
			s.end(errSettled)
			return
		}
	}
}

// belongsElsewhere reports whether there is a replica that the agent prefers to
// this one, and that answers.
func (s *Session) belongsElsewhere() bool {
	all, err := s.agent.finder.find(s.life)
	if err != nil {
		return false
	}
	best := spread(all, s.identity)[0]
	if best == s.channel.at {
		return false
	}
	conn, err := s.cfg.dial(s.life, best)
	if err != nil {
		return false
	}
	_ = conn.Close()
	s.agent.shunned.forgive(best)
	return true
}
