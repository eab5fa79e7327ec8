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

// configurationPart is one dataset's part of the text. With the comma or the
// bracket after it it reaches from the end of the part before it to its own.
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
func (l *configurationList) next(s *cluster.State) (*configurationList, error) {
	const spare = 1 << 10 // for a dataset or two more
	list := &configurationList{
		tag: s.Tag(), text: make([]byte, 1, len(l.text)+spare), parts: make([]configurationPart, 0, s.CountDatasets()),
	}
	list.text[0] = '['
	// What has not changed is copied in as long pieces as there are: l's parts
	// from copied on, up to at.
	copied, at := 0, 0
	for d := range s.Datasets() {
		if at < len(l.parts) && l.parts[at].dataset == d {
			at++
			continue
		}
		list.take(l, copied, at)
		text, err := json.Marshal(cluster.ConfigurationOf(d))
		if err != nil {
			return nil, err
		}
		list.text = append(append(list.text, text...), ',')
		list.parts = append(list.parts, configurationPart{d, len(list.text)})
		for at < len(l.parts) && l.parts[at].dataset.ID <= d.ID { // what d has replaced
			at++
		}
		copied = at
	}
	list.take(l, copied, at)
	if len(list.parts) == 0 {
		list.text = append(list.text, ']')
	} else {
		list.text[len(list.text)-1] = ']'
	}
	return list, nil
}

// take adds some parts of another list.
func (l *configurationList) take(old *configurationList, from, to int) {
	if from == to {
		return
	}
	start := old.start(from)
	shift := len(l.text) - start
	l.text = append(l.text, old.text[start:old.parts[to-1].end]...)
	l.text[len(l.text)-1] = ','
	for _, p := range old.parts[from:to] {
		l.parts = append(l.parts, configurationPart{p.dataset, p.end + shift})
	}
}

func (l *configurationList) start(part int) int {
	if part == 0 {
		return len("[")
	}
	return l.parts[part-1].end
}
