package control

import (
	"encoding/json"
	"fmt"
	"sync/atomic"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/control/cluster"
)

// configurationCache keeps the list of all datasets as it is answered, since
// it is asked for more often than it changes. After a change all that has not
// changed is taken over from the list before: encoding costs far more than
// copying. The zero value is ready to use.
type configurationCache struct {
	list atomic.Pointer[configurationList]
}

// configurationList is the answer for a tag.
type configurationList struct {
	tag   cluster.Tag
	text  []byte // a JSON array
	parts []configurationPart
}

// configurationPart is one dataset's part of the text, up to an end.
type configurationPart struct {
	dataset *api.Dataset // as it was encoded; records are never changed, but replaced
	end     int
}

// of returns the answer for a state.
func (c *configurationCache) of(s *cluster.State) (*configurationList, error) {
	old := c.list.Load()
	if old != nil && old.tag == s.Tag() {
		return old, nil
	}
	if old == nil {
		old = &configurationList{}
	}
	list, err := old.next(s)
	if err != nil {
		return nil, fmt.Errorf("encode configuration: %w", err)
	}
	c.list.Store(list)
	return list, nil
}

// next returns the answer for a state, with what this one has of it. Both are
// in the order of the datasets' ids.
func (old *configurationList) next(s *cluster.State) (*configurationList, error) {
	const spare = 1 << 10 // for a dataset or two more
	list := &configurationList{
		tag: s.Tag(), text: make([]byte, 0, len(old.text)+spare), parts: make([]configurationPart, 0, s.CountDatasets()),
	}
	list.text = append(list.text, '[')
	at := 0
	for d := range s.Datasets() {
		if len(list.parts) > 0 {
			list.text = append(list.text, ',')
		}
		for at < len(old.parts) && old.parts[at].dataset.ID < d.ID {
			at++
		}
		if at < len(old.parts) && old.parts[at].dataset == d {
			list.text = append(list.text, old.part(at)...)
		} else {
			text, err := json.Marshal(cluster.ConfigurationOf(d))
			if err != nil {
				return nil, err
			}
			list.text = append(list.text, text...)
		}
		list.parts = append(list.parts, configurationPart{d, len(list.text)})
	}
	list.text = append(list.text, ']')
	return list, nil
}

// part returns one dataset's text, without the bracket or comma before it.
func (old *configurationList) part(i int) []byte {
	start := len("[")
	if i > 0 {
		start = old.parts[i-1].end + len(",")
	}
	return old.text[start:old.parts[i].end]
}
