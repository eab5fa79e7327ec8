package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"

	"github.com/flocker-mesos/flocker/api"
)

// aPage is how many datasets are listed at a time.
const aPage = 100

// benchREST measures what users wait for who create and list datasets, beside
// few others and beside many. Each service has a log in a file.
func benchREST(s settings) ([]result, error) {
	certs, err := makeCertificates(filepath.Join(s.dir, "certs"), fewAgents)
	if err != nil {
		return nil, err
	}
	few, err := newRestBench(s, certs, "few", fewDatasets)
	if err != nil {
		return nil, err
	}
	many, err := newRestBench(s, certs, "many", manyDatasets)
	if err != nil {
		return nil, err
	}
	bare, err := newBareServer(s, certs)
	if err != nil {
		return nil, err
	}
	defer bare.process.kill()
	results, err := measureREST(s, few, many, "https://"+bare.address)
	if err != nil {
		return nil, err
	}
	return results, joined(few.population.close, many.population.close)
}

// restBench is a control service with some datasets, and a client of it.
type restBench struct {
	population *population
	getter     *getter
	url        string
	made       int
}

func newRestBench(s settings, certs *certificates, name string, datasets int) (*restBench, error) {
	dir := filepath.Join(s.dir, name)
	c, err := newControl(s, dir, certs, fileStore(dir))
	if err != nil {
		return nil, err
	}
	p, err := newPopulation(c, c.agents, certs.nodes, datasets)
	if err != nil {
		return nil, err
	}
	g, err := newGetter(certs)
	return &restBench{population: p, getter: g, url: "https://" + c.users}, err
}

// create creates one more dataset, on a node that is never there.
func (b *restBench) create() error {
	b.made++
	body, err := json.Marshal(map[string]any{
		"primary": "00000000-0000-4000-8000-000000000000", "metadata": map[string]string{"name": fmt.Sprintf("made-%d", b.made)},
	})
	if err != nil {
		return err
	}
	ctx, cancel := patiently()
	defer cancel()
	return b.send(ctx, body)
}

func (b *restBench) send(ctx context.Context, body []byte) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.url+pathConfiguration, bytes.NewReader(body))
	if err != nil {
		return err
	}
	resp, err := b.getter.http.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusCreated {
		err = fmt.Errorf("create a dataset: status %d: %s", resp.StatusCode, text)
	}
	return err
}

func (b *restBench) get(path string) (text []byte, err error) {
	text, _, err = b.getter.get(b.url + path)
	return text, err
}

func measureREST(s settings, few, many *restBench, bare string) ([]result, error) {
	var create, createFew, floor, page, pageFew, named, all, marshal, trip series
	durable, err := os.Create(filepath.Join(s.dir, "durable"))
	if err != nil {
		return nil, err
	}
	defer func() { _ = durable.Close() }()
	text, err := many.get("/v1/volumes")
	if err != nil {
		return nil, err
	}
	var details []*api.DatasetDetail
	if err := json.Unmarshal(text, &details); err != nil {
		return nil, fmt.Errorf("decode volumes: %w", err)
	}
	onePage := fmt.Sprintf("/v1/volumes?limit=%d", aPage)
	gets := func(b *restBench, path string) func() error {
		return func() error { _, err := b.get(path); return err }
	}
	onWire := func() error { _, _, err := many.getter.get(bare); return err }
	for range s.rounds {
		for range 5 { // short, so more of them
			if err := inOrder(
				func() error { return timed(&createFew, few.create) },
				func() error { return timed(&create, many.create) },
				func() error {
					return timed(&floor, func() error { return inOrder(onWire, func() error { return writeDurably(durable) }) })
				},
				func() error { return timed(&pageFew, gets(few, onePage)) },
				func() error { return timed(&page, gets(many, onePage)) },
				func() error { return timed(&named, gets(many, "/v1/volumes?name=dataset-7")) },
				func() error { return timed(&trip, onWire) },
			); err != nil {
				return nil, err
			}
		}
		if err := inOrder(
			func() error { return timed(&all, gets(many, "/v1/volumes")) },
			func() error { return timed(&marshal, func() error { _, err := json.Marshal(details); return err }) },
		); err != nil {
			return nil, err
		}
	}
	return []result{
		ratio("", fmt.Sprintf("create beside %d datasets / beside %d", manyDatasets, fewDatasets), 1.2, create, createFew),
		ratio("", "create / bare round trip over TLS and a durable write of 4 KiB", 0, createFew, floor),
		ratio("", fmt.Sprintf("a page of %d in full beside %d datasets / beside %d", aPage, manyDatasets, fewDatasets), 1.2, page, pageFew),
		ratio("", fmt.Sprintf("one of %d by its name / bare round trip over TLS", manyDatasets), 2, named, trip),
		ratio("", fmt.Sprintf("all %d in full (%s) / json.Marshal of them", len(details), mebibytes(float64(len(text)))), 0, all, marshal),
	}, nil
}

// writeDurably writes as much as a page of a file has, and waits for the disk.
func writeDurably(f *os.File) error {
	if _, err := f.WriteAt(make([]byte, 4096), 0); err != nil {
		return err
	}
	return f.Sync()
}
