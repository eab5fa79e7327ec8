package control

import (
	"sync"
	"time"
)

// sightings measure, on this process's monotonic clock, for how long nothing
// has been heard of somebody. Nobody is held to have been silent while this
// process itself was not able to hear: see deafen.
type sightings[K comparable] struct {
	grace time.Duration

	mu   sync.Mutex
	last map[K]sighting
}

type sighting struct {
	at   time.Time
	mark uint64 // a newer one is a sign of life
}

func newSightings[K comparable](grace time.Duration) sightings[K] {
	return sightings[K]{grace: grace, last: map[K]sighting{}}
}

// heard notes a sign of life.
func (s *sightings[K]) heard(who K) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last[who] = sighting{at: time.Now(), mark: s.last[who].mark}
}

// silence returns for how long somebody has been silent. Another mark than the
// last time is a sign of life; who was never seen is silent from now on.
func (s *sightings[K]) silence(who K, mark uint64) time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	last, ok := s.last[who]
	if !ok || last.mark != mark {
		s.last[who] = sighting{at: now, mark: mark}
		return 0
	}
	return now.Sub(last.at)
}

// deafen says that this process could not hear anybody until now: it was
// paused, or cut off from the log.
func (s *sightings[K]) deafen() {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for who, last := range s.last {
		s.last[who] = sighting{at: now, mark: last.mark}
	}
}

// keep forgets whoever is not there any more.
func (s *sightings[K]) keep(there func(K) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for who := range s.last {
		if !there(who) {
			delete(s.last, who)
		}
	}
}
