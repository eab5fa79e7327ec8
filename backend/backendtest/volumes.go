package backendtest

import (
	"context"
	"errors"
	"strings"
	"sync"

	"github.com/flocker-mesos/flocker/backend"
)

func (s *suite) propertiesAreConstant() {
	p := s.a.Properties()
	if p.Name == "" || p.AllocationUnit <= 0 {
		s.Errorf("properties: got %+v", p)
	}
	if s.Size%p.AllocationUnit != 0 {
		s.Errorf("harness: size %d is not a multiple of the allocation unit %d", s.Size, p.AllocationUnit)
	}
	if again := s.a.Properties(); again != p {
		s.Errorf("properties: got %+v, then %+v", p, again)
	}
}

func (s *suite) instancesDiffer() {
	if s.aID == s.bID {
		s.Errorf("both instances are called %q", s.aID)
	}
	if again := s.instance(s.a); again != s.aID {
		s.Errorf("instance id: got %q, then %q", s.aID, again)
	}
}

func (s *suite) createReturnsTheVolume() {
	id := newDatasetID()
	v := s.createFor(s.a, id)
	if v.ID == "" || v.DatasetID != id || v.Size != s.Size || v.AttachedTo != "" {
		s.Errorf("created volume: got %+v, want dataset %s, size %d, attached nowhere", v, id, s.Size)
	}
	s.wantVolumes(s.a, v.ID)
	s.wantVolumes(s.b, v.ID)
	if listed := s.get(s.b, v.ID); listed != v {
		s.Errorf("listed volume: got %+v, want %+v", listed, v)
	}
}

func (s *suite) volumesCarryTheirNames() {
	for _, name := range []string{"db", "", "shop.db.data", "../../up", "a b\tü%2f", strings.Repeat("長", 256)} {
		id := newDatasetID()
		v, err := s.a.Create(context.Background(), backend.CreateRequest{DatasetID: id, Size: s.Size, Name: name})
		if err != nil {
			s.Errorf("create with the name %.20q: %v", name, err)
			continue
		}
		if v.Name != name {
			s.Errorf("created volume: got the name %q, want %q", v.Name, name)
		}
		if listed := s.get(s.b, v.ID); listed.Name != name {
			s.Errorf("listed volume: got the name %q, want %q", listed.Name, name)
		}
		namer, ok := s.b.(backend.Namer)
		if !ok {
			continue
		}
		for _, other := range []string{"other", "other", "third"} {
			if err := namer.SetName(context.Background(), v.ID, other); err != nil {
				s.Errorf("set the name %q: %v", other, err)
			}
			if listed := s.get(s.a, v.ID); listed.Name != other || listed.DatasetID != id {
				s.Errorf("listed volume: got the name %q of dataset %s, want %q of %s", listed.Name, listed.DatasetID, other, id)
			}
		}
		if err := namer.SetName(context.Background(), "missing-"+v.ID, "x"); !errors.Is(err, backend.ErrUnknownVolume) {
			s.Errorf("set the name of a volume that is not there: got %v, want ErrUnknownVolume", err)
		}
	}
}

func (s *suite) createAgainReturnsTheSameVolume() {
	v := s.create()
	for _, b := range []backend.Backend{s.a, s.b} {
		if again := s.createFor(b, v.DatasetID); again != v {
			s.Errorf("created again: got %+v, want %+v", again, v)
		}
	}
	s.wantVolumes(s.a, v.ID)
}

func (s *suite) createFindsAnAttachedVolume() {
	v := s.create()
	s.attach(s.a, v.ID)
	s.wantAttachedTo(v.ID, s.aID)
	v.AttachedTo = s.aID
	for _, b := range []backend.Backend{s.a, s.b} {
		if again := s.createFor(b, v.DatasetID); again != v {
			s.Errorf("created again: got %+v, want %+v", again, v)
		}
	}
	s.wantVolumes(s.b, v.ID)
}

func (s *suite) createRaceMakesOneVolume() {
	var want []string
	for range s.Rounds {
		id := newDatasetID()
		got := make([]backend.Volume, 4)
		s.atOnce(len(got), func(i int) {
			v, err := []backend.Backend{s.a, s.b}[i%2].Create(s.Context(), backend.CreateRequest{DatasetID: id, Size: s.Size})
			if err != nil {
				s.Errorf("create volume: %v", err)
			}
			got[i] = v
		})
		for _, v := range got {
			if v != got[0] {
				s.Fatalf("created by several at once: got %+v", got)
			}
		}
		want = append(want, got[0].ID)
	}
	s.wantVolumes(s.a, want...)
}

func (s *suite) sizesAreExact() {
	unit := s.a.Properties().AllocationUnit
	for _, size := range []int64{s.Size, s.Size + unit, s.Size + 7*unit} {
		v, err := s.a.Create(s.Context(), backend.CreateRequest{DatasetID: newDatasetID(), Size: size})
		if err != nil {
			s.Fatalf("create volume of %d bytes: %v", size, err)
		}
		listed := s.get(s.b, v.ID)
		if v.Size != size || listed.Size != size {
			s.Errorf("volume of %d bytes: created with %d, listed with %d", size, v.Size, listed.Size)
		}
	}
}

func (s *suite) listWithAndWithoutIDs() {
	s.wantVolumes(s.a)
	x, y, z := s.create(), s.create(), s.create()
	s.attach(s.a, y.ID)
	s.wantVolumes(s.a, x.ID, y.ID, z.ID)
	s.wantVolumes(s.b, x.ID, y.ID, z.ID)
	s.wantAttachedTo(y.ID, s.aID)
	volumes, err := s.b.List(s.Context(), z.ID, newDatasetID(), y.ID)
	if err != nil {
		s.Fatalf("list volumes: %v", err)
	}
	y.AttachedTo = s.aID
	want := map[string]backend.Volume{y.ID: y, z.ID: z}
	for _, v := range volumes {
		if want[v.ID] != v {
			s.Errorf("listed by id: got %+v, want %+v", v, want[v.ID])
		}
		delete(want, v.ID)
	}
	if len(want) > 0 {
		s.Errorf("listed by id: missing %+v", want)
	}
}

func (s *suite) destroyedIsGone() {
	v, other := s.create(), s.create()
	for range 2 { // again is no error
		if err := s.a.Destroy(s.Context(), v.ID); err != nil {
			s.Fatalf("destroy volume: %v", err)
		}
	}
	s.wantVolumes(s.a, other.ID)
	s.wantVolumes(s.b, other.ID)
}

func (s *suite) manyVolumesAtOnce() {
	const volumes = 16
	s.atOnce(volumes, func(i int) {
		b, instance := s.a, s.aID
		if i%2 == 1 {
			b, instance = s.b, s.bID
		}
		ctx := s.Context()
		v, err := b.Create(ctx, backend.CreateRequest{DatasetID: newDatasetID(), Size: s.Size})
		if err != nil {
			s.Errorf("create volume: %v", err)
			return
		}
		for range 3 {
			if err := b.Attach(ctx, v.ID, instance); err != nil {
				s.Errorf("attach volume: %v", err)
			}
			if s.Devices {
				s.device(b, v.ID)
			}
			if _, err := b.List(ctx); err != nil {
				s.Errorf("list volumes: %v", err)
			}
			if got, err := b.List(ctx, v.ID); err != nil || len(got) != 1 {
				s.Errorf("list volume: got %+v, %v", got, err)
			}
			if err := b.Detach(ctx, v.ID, instance, backend.DetachNormal); err != nil {
				s.Errorf("detach volume: %v", err)
			}
		}
		if err := b.Destroy(ctx, v.ID); err != nil {
			s.Errorf("destroy volume: %v", err)
		}
	})
	s.wantVolumes(s.a)
}

// atOnce runs f n times side by side and waits for all.
func (s *suite) atOnce(n int, f func(i int)) {
	var wg sync.WaitGroup
	start := make(chan struct{})
	for i := range n {
		wg.Go(func() {
			<-start
			f(i)
		})
	}
	close(start)
	wg.Wait()
}
