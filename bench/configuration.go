package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"

	"github.com/flocker-mesos/flocker/api/client"
)

const pathConfiguration = "/v1/configuration/datasets"

// benchConfiguration measures how the whole configuration is answered: after
// each change, unchanged, and unchanged where the caller has it already.
func benchConfiguration(s settings) ([]result, error) {
	certs, err := makeCertificates(filepath.Join(s.dir, "certs"), fewAgents)
	if err != nil {
		return nil, err
	}
	dir := filepath.Join(s.dir, "control")
	c, err := newControl(s, dir, certs, fileStore(dir))
	if err != nil {
		return nil, err
	}
	p, err := newPopulation(c, c.agents, certs.nodes, manyDatasets)
	if err != nil {
		return nil, err
	}
	bare, err := newBareServer(s, certs)
	if err != nil {
		return nil, err
	}
	defer bare.process.kill()
	g, err := newGetter(certs)
	if err != nil {
		return nil, err
	}
	results, err := measureConfiguration(s.rounds, p, g, "https://"+c.users+pathConfiguration, "https://"+bare.address)
	if err != nil {
		return nil, err
	}
	return results, p.close()
}

func measureConfiguration(rounds int, p *population, g *getter, configuration, bare string) ([]result, error) {
	text, tag, err := g.get(configuration)
	if err != nil {
		return nil, err
	}
	var all []client.Dataset
	if err := json.Unmarshal(text, &all); err != nil {
		return nil, fmt.Errorf("decode configuration: %w", err)
	}
	var changed, cached, known, marshal, bareTrip series
	for range rounds {
		if _, err := p.move(); err != nil {
			return nil, err
		}
		if err := timed(&changed, func() error { text, tag, err = g.get(configuration); return err }); err != nil {
			return nil, err
		}
		if err := timed(&marshal, func() error { _, err := json.Marshal(all); return err }); err != nil {
			return nil, err
		}
		if err := timed(&cached, func() error { _, _, err := g.get(configuration); return err }); err != nil {
			return nil, err
		}
		for range 20 { // short, so more of them
			if err := timed(&known, func() error { return g.unchanged(configuration, tag) }); err != nil {
				return nil, err
			}
			if err := timed(&bareTrip, func() error { _, _, err := g.get(bare); return err }); err != nil {
				return nil, err
			}
		}
	}
	size := fmt.Sprintf("GET of %d datasets (%s)", len(all), mebibytes(float64(len(text))))
	return []result{
		ratio("P11", size+" after a change / json.Marshal of them", 1.3, changed, marshal),
		ratio("P11", size+" unchanged / json.Marshal of them", 1.3, cached, marshal),
		ratio("P11", "GET with the ETag, unchanged / bare round trip over TLS", 2, known, bareTrip),
	}, nil
}

// getter gets, as curl does, over one connection that stays.
type getter struct{ http *http.Client }

func newGetter(certs *certificates) (*getter, error) {
	tls, err := certs.userTLS()
	if err != nil {
		return nil, err
	}
	return &getter{&http.Client{Transport: &http.Transport{TLSClientConfig: tls, ForceAttemptHTTP2: true}}}, nil
}

// get returns what is at a URL, and its tag.
func (g *getter) get(url string) (text []byte, etag string, err error) {
	ctx, cancel := patiently()
	defer cancel()
	status, text, etag, err := g.do(ctx, url, "")
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("get %s: status %d: %s", url, status, text)
	}
	return text, etag, err
}

// unchanged gets what is known to be unchanged.
func (g *getter) unchanged(url, etag string) error {
	ctx, cancel := patiently()
	defer cancel()
	status, _, _, err := g.do(ctx, url, etag)
	if err == nil && status != http.StatusNotModified {
		err = fmt.Errorf("get %s, unchanged: status %d", url, status)
	}
	return err
}

func (g *getter) do(ctx context.Context, url, etag string) (status int, text []byte, newTag string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return 0, nil, "", err
	}
	if etag != "" {
		req.Header.Set("If-None-Match", etag)
	}
	resp, err := g.http.Do(req)
	if err != nil {
		return 0, nil, "", err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err = io.ReadAll(resp.Body)
	return resp.StatusCode, text, resp.Header.Get("ETag"), err
}

// post posts nothing and returns the answer.
func (g *getter) post(ctx context.Context, url string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, http.NoBody)
	if err != nil {
		return "", err
	}
	resp, err := g.http.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(resp.Body)
	return string(text), err
}
