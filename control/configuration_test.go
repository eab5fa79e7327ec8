package control

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

func putAll(s *cluster.State, datasets ...*api.Dataset) {
	for _, d := range datasets {
		s.Put(cluster.Change{Key: cluster.DatasetKey(d.ID), Dataset: d})
	}
}

func TestConfigurationAnswersWhatEncodingItWholeWould(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	var cache configurationCache
	s := cluster.New()
	for round := range 300 {
		s = s.Clone()
		for range random.IntN(4) {
			d := &api.Dataset{ID: api.DatasetID(fmt.Sprintf("%02d", random.IntN(40))), MaximumSize: random.Int64N(5)}
			if random.IntN(2) == 0 {
				d.Metadata = map[string]string{"name": fmt.Sprint("<", random.IntN(1000), ">")}
			}
			if old := s.Dataset(d.ID); old != nil && random.IntN(3) == 0 {
				s.Put(cluster.Change{Key: cluster.DatasetKey(d.ID)})
				continue
			}
			putAll(s, d)
		}
		want := []cluster.Configuration{}
		for d := range s.Datasets() {
			want = append(want, cluster.ConfigurationOf(d))
		}
		wantText, err := json.Marshal(want)
		if err != nil {
			t.Fatal(err)
		}
		list, err := cache.of(s)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(list.text); got != string(wantText) {
			t.Fatalf("in round %d got %s, want %s", round, got, wantText)
		}
	}
}

func TestConfigurationEncodesOnlyWhatHasChanged(t *testing.T) {
	var cache configurationCache
	s := cluster.New()
	for i := range 1000 {
		putAll(s, &api.Dataset{ID: api.DatasetID(fmt.Sprintf("%04d", i))})
	}
	if _, err := cache.of(s); err != nil {
		t.Fatal(err)
	}
	changed := 0
	allocations := testing.AllocsPerRun(10, func() {
		s = s.Clone()
		changed++
		putAll(s, &api.Dataset{ID: "0500", MaximumSize: int64(changed)})
		if _, err := cache.of(s); err != nil {
			t.Error(err)
		}
	})
	if allocations > 100 {
		t.Errorf("a change of one of 1000 datasets takes %v allocations", allocations)
	}
}
