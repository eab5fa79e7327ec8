package backendtest

import (
	"errors"

	"github.com/flocker-mesos/flocker/backend"
)

func (s *suite) witness() backend.Witness {
	w, ok := s.b.(backend.Witness)
	if !ok {
		s.Skip("the backend cannot tell who can write")
	}
	return w
}

func (s *suite) guards() (a, b backend.Guard) {
	a, ok := s.a.(backend.Guard)
	if !ok {
		s.Skip("the backend does not refuse old tokens")
	}
	return a, s.b.(backend.Guard)
}

func (s *suite) wantCanWrite(w backend.Witness, volumeID, instance string, want backend.Verdict) {
	s.Helper()
	got, evidence, err := w.CanWrite(s.Context(), volumeID, instance)
	if err != nil || got != want || evidence == "" {
		s.Errorf("instance %s and volume %s: got %q (%q), %v, want %q", instance, volumeID, got, evidence, err, want)
	}
}

func (s *suite) witnessTellsWhoCanWrite() {
	w := s.witness()
	v := s.create()
	s.wantCanWrite(w, v.ID, s.aID, backend.CannotWrite)
	s.attach(s.a, v.ID)
	s.wantCanWrite(w, v.ID, s.aID, backend.Writes)
	s.wantCanWrite(w, v.ID, s.bID, backend.CannotWrite)
	s.detach(s.a, v.ID)
	s.wantCanWrite(w, v.ID, s.aID, backend.CannotWrite)
	s.wantCanWrite(w, newDatasetID(), s.aID, backend.CannotWrite)
}

func (s *suite) guardRefusesOldEpochs() {
	a, b := s.guards()
	ctx := s.Context()
	v := s.create()
	if err := a.AttachUnder(ctx, v.ID, s.aID, 7); err != nil {
		s.Fatalf("attach under epoch 7: %v", err)
	}
	if err := a.AttachUnder(ctx, v.ID, s.aID, 7); err != nil {
		s.Errorf("attach again under epoch 7: %v", err)
	}
	if err := b.Seal(ctx, v.ID, 8); !errors.Is(err, backend.ErrInUse) {
		s.Errorf("seal an attached volume: got %v, want %v", err, backend.ErrInUse)
	}
	s.detach(s.a, v.ID)
	for range 2 { // again is no error
		if err := b.Seal(ctx, v.ID, 8); err != nil {
			s.Fatalf("seal: %v", err)
		}
	}
	if err := a.AttachUnder(ctx, v.ID, s.aID, 7); !errors.Is(err, backend.ErrStale) {
		s.Errorf("attach under epoch 7 what is sealed for 8: got %v, want %v", err, backend.ErrStale)
	}
	s.wantAttachedTo(v.ID, "")
	if err := b.AttachUnder(ctx, v.ID, s.bID, 9); err != nil {
		s.Fatalf("attach under epoch 9: %v", err)
	}
	s.detach(s.b, v.ID)
	if err := a.AttachUnder(ctx, v.ID, s.aID, 8); !errors.Is(err, backend.ErrStale) {
		s.Errorf("attach under epoch 8 what was attached under 9: got %v, want %v", err, backend.ErrStale)
	}
	if err := b.Seal(ctx, newDatasetID(), 8); !errors.Is(err, backend.ErrUnknownVolume) {
		s.Errorf("seal an unknown volume: got %v, want %v", err, backend.ErrUnknownVolume)
	}
}
