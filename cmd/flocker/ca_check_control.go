package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/flocker-mesos/flocker/pki"
)

// visit is a look at a control service from outside.
type visit struct {
	address string
	options pki.CheckOptions

	found []pki.Finding
	shown tls.ConnectionState
}

// ruleAdmission is what only a control service can tell.
const ruleAdmission = "admission"

const (
	visitTimeout = 5 * time.Second
	maxSkew      = 5 * time.Minute // of clocks
)

// findings calls the control service with each certificate that could be used
// to call it. Which roles it admits on that port is not known from here: so none
// need be admitted of a role of which none is.
func (v *visit) findings(ctx context.Context, files []string) []pki.Finding {
	if _, err := v.call(ctx, nil); err != nil && len(v.shown.PeerCertificates) == 0 {
		v.problem("is something there, and the port open?", "cannot be reached: %v", err)
		return v.found
	}
	v.found = append(v.found, pki.CheckServer(v.shown, v.address, v.options)...)
	var admitted []pki.Role
	refusals := map[pki.Role][]pki.Finding{}
	for _, file := range files {
		paths := pki.Paths{Authority: v.options.Authority, Cert: file, Key: strings.TrimSuffix(file, ".crt") + ".key"}
		creds, err := pki.LoadFiles(paths, slog.New(slog.DiscardHandler), append(pki.APIRoles(), pki.RoleNode)...)
		if err != nil || filepath.Base(file) == pki.AuthorityCert {
			continue // no certificate of a client's, or found to be wrong already
		}
		role, _, _ := creds.Identity()
		date, err := v.call(ctx, creds)
		if err == nil {
			admitted = append(admitted, role)
			v.clock(date)
			continue
		}
		refusals[role] = append(refusals[role], pki.Finding{
			Severity: pki.Problem, File: file, Rule: ruleAdmission, Is: fmt.Sprintf("%s does not admit it: %v", v.address, err),
			Do: "see the log of that control service, which has the reason",
		})
	}
	for role, all := range refusals {
		if len(admitted) == 0 || slices.Contains(admitted, role) {
			v.found = append(v.found, all...)
		}
	}
	return v.found
}

// call makes a request with a certificate, nil for none, and returns the time at
// the other side. Any answer will do: who is not admitted gets none.
func (v *visit) call(ctx context.Context, creds *pki.Credentials) (date time.Time, err error) {
	rules := &tls.Config{MinVersion: tls.VersionTLS12}
	if creds != nil {
		rules = creds.Client()
	}
	host, _, err := net.SplitHostPort(v.address)
	if err != nil {
		return date, fmt.Errorf("%q is not HOST:PORT: %w", v.address, err)
	}
	rules.ServerName = host
	rules.InsecureSkipVerify = true // what it shows is checked, and not merely refused
	rules.VerifyConnection = func(state tls.ConnectionState) error {
		v.shown = state
		return nil
	}
	transport := &http.Transport{TLSClientConfig: rules, DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	ctx, cancel := context.WithTimeout(ctx, visitTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+v.address+"/v1/version", http.NoBody)
	if err != nil {
		return date, err
	}
	answer, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return date, err
	}
	defer answer.Body.Close()
	if date, err = http.ParseTime(answer.Header.Get("Date")); err != nil {
		return time.Now(), nil // it does not tell
	}
	return date, nil
}

func (v *visit) clock(there time.Time) {
	if skew := time.Since(there).Round(time.Second); skew.Abs() > maxSkew {
		v.found = append(v.found, pki.Finding{
			Severity: pki.Warning, File: v.address, Rule: pki.RuleDates, Is: fmt.Sprintf("its clock and the one here differ by %s", skew.Abs()),
			Do: "set both clocks: a machine with a wrong clock takes valid certificates for expired",
		})
	}
}

func (v *visit) problem(do, is string, args ...any) {
	v.found = append(v.found, pki.Finding{
		Severity: pki.Problem, File: v.address, Rule: ruleAdmission, Is: fmt.Sprintf(is, args...), Do: do,
	})
}
