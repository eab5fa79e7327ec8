package backendtest

import (
	"context"
	"errors"

	"github.com/flocker-mesos/flocker/backend"
)

func (s *suite) attachAndDetach() {
	v := s.create()
	for range 2 {
		for range 2 { // again is no error
			s.attach(s.a, v.ID)
			s.wantAttachedTo(v.ID, s.aID)
		}
		for range 2 {
			s.detach(s.a, v.ID)
			s.wantAttachedTo(v.ID, "")
		}
		if _, err := s.a.Device(s.Context(), v.ID); !errors.Is(err, backend.ErrNotAttached) {
			s.Errorf("device of a detached volume: got %v, want %v", err, backend.ErrNotAttached)
		}
	}
	s.attach(s.b, v.ID)
	s.wantAttachedTo(v.ID, s.bID)
}

func (s *suite) attachedElsewhere() {
	v := s.create()
	s.attach(s.a, v.ID)
	err := s.b.Attach(s.Context(), v.ID, s.bID)
	elsewhere, ok := errors.AsType[*backend.AttachedElsewhereError](err)
	if !ok || elsewhere.VolumeID != v.ID || elsewhere.Instance != s.aID && elsewhere.Instance != "" {
		s.Errorf("attach what %s has: got %v, want an AttachedElsewhereError that says so", s.aID, err)
	}
	s.wantAttachedTo(v.ID, s.aID)
	// Not attached to b, so there is nothing to detach.
	if err := s.b.Detach(s.Context(), v.ID, s.bID, backend.DetachNormal); err != nil {
		s.Errorf("detach what another instance has: %v", err)
	}
	s.wantAttachedTo(v.ID, s.aID)
	if _, err := s.b.Device(s.Context(), v.ID); !errors.Is(err, backend.ErrNotAttached) {
		s.Errorf("device of a volume attached elsewhere: got %v, want %v", err, backend.ErrNotAttached)
	}
	s.detach(s.a, v.ID)
	s.attach(s.b, v.ID)
	s.wantAttachedTo(v.ID, s.bID)
}

func (s *suite) attachRaceHasOneWinner() {
	v := s.create()
	drivers := []backend.Backend{s.a, s.b}
	ids := []string{s.aID, s.bID}
	for round := range s.Rounds {
		errs := make([]error, 2)
		s.atOnce(2, func(i int) { errs[i] = drivers[i].Attach(s.Context(), v.ID, ids[i]) })
		winner := -1
		for i, err := range errs {
			if err == nil {
				if winner >= 0 {
					s.Fatalf("round %d: both instances attached the volume", round)
				}
				winner = i
			} else if _, ok := errors.AsType[*backend.AttachedElsewhereError](err); !ok {
				s.Errorf("round %d: loser of the race: got %v, want an AttachedElsewhereError", round, err)
			}
		}
		if winner < 0 {
			s.Fatalf("round %d: nobody attached the volume: %v", round, errors.Join(errs...))
		}
		s.wantAttachedTo(v.ID, ids[winner])
		s.detach(drivers[winner], v.ID)
		s.wantAttachedTo(v.ID, "")
	}
}

func (s *suite) unknownVolumes() {
	id := newDatasetID()
	ctx := s.Context()
	if err := s.a.Attach(ctx, id, s.aID); !errors.Is(err, backend.ErrUnknownVolume) {
		s.Errorf("attach: got %v, want %v", err, backend.ErrUnknownVolume)
	}
	for _, mode := range []backend.DetachMode{backend.DetachNormal, backend.DetachForced} {
		if err := s.a.Detach(ctx, id, s.aID, mode); !errors.Is(err, backend.ErrUnknownVolume) {
			s.Errorf("detach: got %v, want %v", err, backend.ErrUnknownVolume)
		}
	}
	if err := s.a.Destroy(ctx, id); err != nil {
		s.Errorf("destroy: %v", err)
	}
	if _, err := s.a.Device(ctx, id); !errors.Is(err, backend.ErrNotAttached) {
		s.Errorf("device: got %v, want %v", err, backend.ErrNotAttached)
	}
	if volumes, err := s.a.List(ctx, id); err != nil || len(volumes) > 0 {
		s.Errorf("list: got %+v, %v, want nothing", volumes, err)
	}
}

func (s *suite) destroyWhileAttached() {
	v := s.create()
	s.attach(s.a, v.ID)
	for _, b := range []backend.Backend{s.a, s.b} {
		if err := b.Destroy(s.Context(), v.ID); !errors.Is(err, backend.ErrInUse) {
			s.Errorf("destroy an attached volume: got %v, want %v", err, backend.ErrInUse)
		}
	}
	s.wantAttachedTo(v.ID, s.aID)
}

func (s *suite) endedContextDoesNothing() {
	ctx, cancel := context.WithCancel(s.Context())
	cancel()
	v := s.create()
	want := func(what string, err error) {
		s.Helper()
		if !errors.Is(err, context.Canceled) {
			s.Errorf("%s: got %v, want %v", what, err, context.Canceled)
		}
	}
	_, err := s.a.Create(ctx, backend.CreateRequest{DatasetID: newDatasetID(), Size: s.Size})
	want("create", err)
	want("attach", s.a.Attach(ctx, v.ID, s.aID))
	s.wantAttachedTo(v.ID, "")
	s.attach(s.a, v.ID)
	want("detach", s.a.Detach(ctx, v.ID, s.aID, backend.DetachNormal))
	want("forced detach", s.b.Detach(ctx, v.ID, s.aID, backend.DetachForced))
	s.wantAttachedTo(v.ID, s.aID)
	s.detach(s.a, v.ID)
	want("destroy", s.a.Destroy(ctx, v.ID))
	_, err = s.a.List(ctx)
	want("list", err)
	s.wantVolumes(s.a, v.ID)
}

func (s *suite) restartFindsWhatIsAttached() {
	attached, free := s.create(), s.create()
	s.attach(s.a, attached.ID)
	again := s.storage.Open(s.T, 0)
	if id := s.instance(again); id != s.aID {
		s.Fatalf("instance id after a restart: got %q, want %q", id, s.aID)
	}
	if s.Devices {
		before, after := s.device(s.a, attached.ID), s.device(again, attached.ID)
		if before != after {
			s.Errorf("device after a restart: got %+v, want %+v", after, before)
		}
	}
	if surveyor, ok := again.(backend.Surveyor); ok {
		devices, err := surveyor.Attached(s.Context())
		if _, found := devices[attached.ID]; err != nil || len(devices) != 1 || !found {
			s.Errorf("survey after a restart: got %+v, %v, want only %s", devices, err, attached.ID)
		}
		if s.Devices && devices[attached.ID] != s.device(again, attached.ID) {
			s.Errorf("survey after a restart: got %+v, want the device %+v", devices, s.device(again, attached.ID))
		}
	}
	s.attach(again, attached.ID)
	s.attach(again, free.ID)
	s.wantAttachedTo(free.ID, s.aID)
	s.detach(again, free.ID)
	s.detach(again, attached.ID)
	s.wantAttachedTo(attached.ID, "")
	s.a = again
}
