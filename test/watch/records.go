package watch

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/test/cluster"
)

// datasetsFolder is where the log has the records of datasets.
const datasetsFolder = "records/datasets/"

// Datasets returns the records of datasets as the log has them now.
func Datasets(ctx context.Context, c *cluster.Cluster) (map[api.DatasetID]*api.Dataset, error) {
	pairs, err := c.Log(ctx, datasetsFolder)
	if err != nil {
		return nil, err
	}
	return decode(pairs)
}

// decode reads the records of datasets as the log has them.
func decode(pairs []cluster.Pair) (map[api.DatasetID]*api.Dataset, error) {
	all := map[api.DatasetID]*api.Dataset{}
	for _, p := range pairs {
		if strings.HasSuffix(p.Key, "/") {
			continue
		}
		var stored struct {
			Record *api.Dataset `json:"record"`
		}
		if err := json.Unmarshal(p.Value, &stored); err != nil || stored.Record == nil {
			return nil, fmt.Errorf("decode %s: %w", p.Key, err)
		}
		all[stored.Record.ID] = stored.Record
	}
	return all, nil
}

// records remembers what the log has shown.
type records struct {
	last    map[api.DatasetID]*api.Dataset
	holders map[api.DatasetID]map[uint64]api.NodeID // of each epoch
}

func newRecords() records {
	return records{last: map[api.DatasetID]*api.Dataset{}, holders: map[api.DatasetID]map[uint64]api.NodeID{}}
}

// take compares the newest records with those before.
func (r *records) take(seen map[api.DatasetID]*api.Dataset) (anomalies []string) {
	names := map[string]api.DatasetID{}
	for id, d := range seen {
		anomalies = append(anomalies, r.compare(r.last[id], d)...)
		if name := d.Name(); name != "" && !d.Deleted {
			if other, taken := names[name]; taken {
				anomalies = append(anomalies, fmt.Sprintf("datasets %s and %s have the name %q", other, id, name))
			}
			names[name] = id
		}
	}
	for id, d := range r.last {
		if seen[id] == nil && !d.Destroyed {
			anomalies = append(anomalies, fmt.Sprintf("the record of dataset %s is gone, and its volume was not destroyed", id))
		}
	}
	r.last = seen
	return anomalies
}

func (r *records) compare(old, d *api.Dataset) (anomalies []string) {
	report := func(format string, args ...any) {
		anomalies = append(anomalies, fmt.Sprintf("dataset %s ", d.ID)+fmt.Sprintf(format, args...))
	}
	if d.Holder != nil {
		if r.holders[d.ID] == nil {
			r.holders[d.ID] = map[uint64]api.NodeID{}
		}
		before, known := r.holders[d.ID][d.Epoch]
		if known && before != d.Holder.Node {
			report("was given to both %s and %s in epoch %d", before, d.Holder.Node, d.Epoch)
		}
		if d.Holder.Epoch != d.Epoch {
			report("has a holder of epoch %d in epoch %d", d.Holder.Epoch, d.Epoch)
		}
		r.holders[d.ID][d.Epoch] = d.Holder.Node
	}
	if old == nil {
		return anomalies
	}
	if d.Revision < old.Revision {
		report("went back from revision %d to %d", old.Revision, d.Revision)
	}
	if d.Epoch < old.Epoch {
		report("went back from epoch %d to %d", old.Epoch, d.Epoch)
	}
	if old.Deleted && !d.Deleted {
		report("was deleted and is no longer")
	}
	if old.Volume != nil && (d.Volume == nil || *d.Volume != *old.Volume) {
		report("had the volume %+v and has %+v", *old.Volume, d.Volume)
	}
	return anomalies
}

// checkHolders compares the log with the places of images before and after it
// was read: an image that was attached to one machine all that time must have
// been that machine's by the log.
func checkHolders(before, after map[string]place, seen map[api.DatasetID]*api.Dataset) (anomalies []string) {
	for volume, at := range before {
		if at.instance == unattached || after[volume] != at {
			continue
		}
		switch d := seen[api.DatasetID(volume)]; {
		case d == nil:
			anomalies = append(anomalies, fmt.Sprintf("volume %s is attached to %s, and the log has no such dataset", volume, at.instance))
		case !d.HeldBy(api.NodeID(at.instance)):
			anomalies = append(anomalies, fmt.Sprintf("volume %s is attached to %s, and its holder is %+v in epoch %d", volume, at.instance, d.Holder, d.Epoch))
		}
	}
	return anomalies
}
