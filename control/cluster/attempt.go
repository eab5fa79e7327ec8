package cluster

import (
	"slices"
	"time"

	"github.com/flocker-mesos/flocker/api"
)

// Attempt is one of a client's tries at a request. When a client hears nothing
// it asks another replica, and then does other things; what it sent first may
// lie in the buffers of a network or of a stopped process all the time, and come
// to be decided later, over what was done since. So the second try bars the
// first, for good, before it is decided itself.
type Attempt struct {
	Request string // a name that the client has made up
	Number  int    // from 1
}

// Barred are the requests that were tried again lately. There are few: who is
// answered does not try again.
type Barred struct {
	Requests []BarredRequest `json:"requests"` // the newest last
}

// BarredRequest is a request that was tried again.
type BarredRequest struct {
	Request string    `json:"request"`
	Below   int       `json:"below"` // attempts with a lower number come too late
	At      time.Time `json:"at"`
}

const (
	// maxBarred bounds the record.
	maxBarred = 256
	// barredFor is how long a request may be under way. No buffer keeps one
	// longer: connections die within minutes.
	barredFor = time.Hour
	// maxRequest bounds the name of a request, in bytes.
	maxRequest = 64
)

// Bar bars the attempts at a request before one.
type Bar struct {
	At      time.Time
	Attempt Attempt
}

// Apply decides the command.
func (c Bar) Apply(s *State) (Outcome, error) {
	if err := s.tooLate(c.Attempt); err != nil {
		return Outcome{}, err
	}
	if n := len(c.Attempt.Request); n == 0 || n > maxRequest {
		return Outcome{}, api.Errorf(api.CodeInvalid, "the name of a request has %d bytes, and needs 1 to %d", n, maxRequest)
	}
	next := &Barred{}
	if s.barred != nil {
		next.Requests = slices.DeleteFunc(slices.Clone(s.barred.Requests), func(b BarredRequest) bool {
			return b.Request == c.Attempt.Request || c.At.Sub(b.At) > barredFor
		})
	}
	if excess := len(next.Requests) + 1 - maxBarred; excess > 0 {
		next.Requests = next.Requests[excess:]
	}
	next.Requests = append(next.Requests, BarredRequest{Request: c.Attempt.Request, Below: c.Attempt.Number, At: c.At})
	return Outcome{Changes: []Change{{Key: KeyBarred, Barred: next}}}, nil
}

// Once is a command that a client may have sent before, or will have sent again
// by the time that this one is decided.
type Once struct {
	Attempt Attempt
	Command Command
}

// Apply decides the command, unless a later attempt was made.
func (c Once) Apply(s *State) (Outcome, error) {
	if err := s.tooLate(c.Attempt); err != nil {
		return Outcome{}, err
	}
	return c.Command.Apply(s)
}

// tooLate reports why an attempt is not to be decided any more.
func (s *State) tooLate(a Attempt) error {
	if s.barred == nil {
		return nil
	}
	for _, b := range s.barred.Requests {
		if b.Request == a.Request && a.Number < b.Below {
			return api.Errorf(api.CodeStale, "the request was made again meanwhile, at another replica perhaps: this attempt at it comes too late, and changes nothing")
		}
	}
	return nil
}
