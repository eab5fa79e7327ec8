package check_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/marathon/check"
)

func TestRulesFindWhatTheySayAndNothingElse(t *testing.T) {
	for rule, cases := range ruleCases(t) {
		for _, tc := range cases {
			t.Run(rule+"/"+tc.name, func(t *testing.T) {
				d, err := check.Parse("app.json", []byte(tc.text))
				if err != nil {
					t.Fatal(err)
				}
				var found []string
				for _, f := range check.Check([]*check.Document{d}, &tc.context) {
					if f.Rule == rule {
						found = append(found, fmt.Sprintf("%s %s %s", f.Severity, f.Path, f.What))
					}
					if f.Why == "" || f.Fix == "" {
						t.Errorf("%s has no reason or no remedy: %+v", f.Rule, f)
					}
				}
				if tc.want == "" {
					if len(found) > 0 {
						t.Errorf("got %q, want nothing", found)
					}
					return
				}
				head, tail := tc.want, ""
				if parts := strings.SplitN(tc.want, " ", 3); len(parts) == 3 {
					head, tail = parts[0]+" "+parts[1]+" ", parts[2]
				}
				if !slices.ContainsFunc(found, func(f string) bool { return strings.HasPrefix(f, head) && strings.Contains(f, tail) }) {
					t.Errorf("got %q, want %q", found, tc.want)
				}
			})
		}
	}
}

func TestEachRuleIsTestedBothWays(t *testing.T) {
	all := ruleCases(t)
	for _, r := range check.Rules() {
		found, silent := 0, 0
		for _, tc := range all[r.ID] {
			if tc.want == "" {
				silent++
			} else {
				found++
			}
		}
		if found == 0 || silent == 0 {
			t.Errorf("%s: %d cases with a finding and %d without, want both", r.ID, found, silent)
		}
		delete(all, r.ID)
	}
	for rule := range all {
		t.Errorf("there is no rule %s", rule)
	}
}
