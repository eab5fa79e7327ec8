package cluster_test

import (
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

const (
	firstID  = "0d7a3c1e-58f4-4b6d-9f0a-3f1c2b4d5e6f"
	secondID = "1e7a3c1e-58f4-4b6d-9f0a-3f1c2b4d5e6f"
	thirdID  = "2f7a3c1e-58f4-4b6d-9f0a-3f1c2b4d5e6f"
)

// named puts a dataset into the log as an earlier version could have made it.
func (b *bench) named(id api.DatasetID, name string, change ...func(*api.Dataset)) {
	b.t.Helper()
	d := &api.Dataset{ID: id, Metadata: map[string]string{api.MetadataName: name}, Size: 1 << 30}
	for _, c := range change {
		c(d)
	}
	s := b.s.Clone()
	s.Put(cluster.Change{Key: cluster.DatasetKey(id), Dataset: d})
	b.s = s
}

func TestTextsMeanOneDatasetOrNone(t *testing.T) {
	b := newBench(t, "a")
	b.named(firstID, "db")
	b.named(secondID, firstID) // the name is the other's id
	b.named(thirdID, "name:db")
	b.named("dying-1", "going", func(d *api.Dataset) { d.Deleted = true })
	b.named("dying-2", "twice", func(d *api.Dataset) { d.Deleted = true })
	b.named("dying-3", "twice", func(d *api.Dataset) { d.Deleted = true })
	b.named("dying-4", "again", func(d *api.Dataset) { d.Deleted = true })
	b.named("live-4", "again")
	b.named("dying-5", "gone", func(d *api.Dataset) { d.Deleted, d.Destroyed = true, true })
	for text, want := range map[string]struct {
		id   api.DatasetID
		code api.Code
		says string
	}{
		"db":                                  {id: firstID},
		secondID:                              {id: secondID},
		strings.ToUpper(secondID):             {id: secondID},
		strings.ReplaceAll(secondID, "-", ""): {id: secondID},
		"id:" + firstID:                       {id: firstID},
		"id:" + strings.ToUpper(firstID):      {id: firstID},
		"name:" + firstID:                     {id: secondID},
		firstID:                               {code: api.CodeConflict, says: "id:" + firstID + " for dataset db, or id:" + secondID + " for dataset " + firstID},
		"name:name:db":                        {id: thirdID},
		"name:db":                             {code: api.CodeConflict, says: "id:" + thirdID},
		"going":                               {id: "dying-1"},
		"name:going":                          {id: "dying-1"},
		"twice":                               {code: api.CodeConflict, says: "which was deleted"},
		"again":                               {id: "live-4"},
		"gone":                                {code: api.CodeNotFound},
		"id:gone-too":                         {code: api.CodeNotFound},
		"id:db":                               {code: api.CodeNotFound},
		"":                                    {code: api.CodeNotFound},
	} {
		d, err := b.s.Resolve(text, cluster.Actor{})
		if api.CodeOf(err) != want.code || want.code == "" && d.ID != want.id || err != nil && !strings.Contains(err.Error(), want.says) {
			t.Errorf("%q: got %+v, %v, want %+v", text, d, err, want)
		}
	}
}

func TestNamesThatReadAsIDsAreRefused(t *testing.T) {
	b := newBench(t, "a")
	b.create(firstID, "a", "db")
	create := func(id api.DatasetID, key, name string) cluster.Create {
		return cluster.Create{At: b.now, ID: id, Primary: "a", DefaultSize: 1 << 30, Metadata: map[string]string{key: name}}
	}
	rename := func(name string) cluster.ChangeDataset {
		return cluster.ChangeDataset{At: b.now, ID: firstID, Metadata: map[string]*string{api.MetadataName: &name}}
	}
	for _, name := range []string{thirdID, strings.ToUpper(thirdID), strings.ReplaceAll(thirdID, "-", ""), "{" + thirdID + "}", firstID} {
		b.refused(create(secondID, api.MetadataName, name), api.CodeInvalid, "reads as an id")
		b.refused(rename(name), api.CodeInvalid, "reads as an id")
	}
	// A task may bring such a name, unless it is another dataset's id.
	for _, name := range []string{firstID, strings.ToUpper(firstID)} {
		b.refused(b.find("a", api.DatasetSpec{Name: name}), api.CodeConflict, "is the id of dataset db")
		b.refused(create(secondID, "FLOCKER_ID", name), api.CodeConflict, "is the id of dataset db")
	}
	b.do(b.find("a", api.DatasetSpec{Name: thirdID}))
	if d, err := b.s.Resolve(thirdID, cluster.Actor{}); err != nil || d.Name() != thirdID {
		t.Errorf("a name that a task brought: got %+v, %v", d, err)
	}
	b.do(b.find("a", api.DatasetSpec{Name: thirdID})) // and goes on to be used
	b.refused(create(thirdID, api.MetadataName, "queue"), api.CodeConflict, "is the name of a dataset")
}

func TestOrphansThatATextCanMeanAreAllNamed(t *testing.T) {
	b := newBench(t, "n1")
	b.create(firstID, "n1", "db")
	b.note("n1", stray(secondID, "lost"), stray(thirdID, secondID), stray("x", firstID))
	b.refused(cluster.Adopt{At: b.now, Orphan: secondID}, api.CodeConflict, "can mean 2 orphan volumes")
	b.refused(cluster.ForgetOrphan{Orphan: secondID}, api.CodeConflict, "can mean 2 orphan volumes")
	b.refused(cluster.Adopt{At: b.now, Orphan: "lost", Name: thirdID}, api.CodeInvalid, "reads as an id")
	b.refused(cluster.Adopt{At: b.now, Orphan: "x"}, api.CodeConflict, "is the id of dataset db")
	b.do(cluster.Adopt{At: b.now, Orphan: "id:" + strings.ToUpper(secondID)})
	if d := b.s.DatasetByName("lost"); d == nil || d.ID != secondID {
		t.Errorf("adopted %+v, want %s", d, secondID)
	}
	b.refused(cluster.Adopt{At: b.now, Orphan: "name:" + secondID}, api.CodeConflict, "is the id of dataset lost")
	b.do(cluster.Adopt{At: b.now, Orphan: "name:" + secondID, Name: "third"})
}
