package info_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/marathon/info"
)

func TestMarathonIsAskedAboutItself(t *testing.T) {
	for name, tt := range map[string]struct {
		status int
		answer string
		want   api.MarathonInfo
		err    string
	}{
		"in full":        {200, `{"name":"marathon","version":"1.11.24","marathon_config":{"task_launch_timeout":300000}}`, api.MarathonInfo{Version: "1.11.24", TaskLaunchTimeout: 5 * time.Minute}, ""},
		"tells less":     {200, `{"name":"marathon","version":"1.5.0","marathon_config":{}}`, api.MarathonInfo{Version: "1.5.0"}, ""},
		"tells nonsense": {200, `{"version":"1","marathon_config":{"task_launch_timeout":-1e300}}`, api.MarathonInfo{Version: "1"}, ""},
		"another server": {200, `{}`, api.MarathonInfo{}, "is no Marathon"},
		"a page":         {200, `<html>`, api.MarathonInfo{}, "read its answer"},
		"not you":        {401, ``, api.MarathonInfo{}, "it answers 401"},
		"no leader":      {502, ``, api.MarathonInfo{}, "it answers 502"},
		"endless":        {200, strings.Repeat(" ", 2<<20), api.MarathonInfo{}, "longer than"},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if user, password, _ := r.BasicAuth(); r.URL.Path != "/mesos/v2/info" || user != "u" || password != "secret" {
					t.Errorf("got %s of %s, %s", r.URL, user, password)
				}
				w.WriteHeader(tt.status)
				_, _ = io.WriteString(w, tt.answer)
			}))
			defer server.Close()
			got, err := info.Asker{}.Info(t.Context(), strings.Replace(server.URL, "http://", "http://u:secret@", 1)+"/mesos/")
			if tt.err == "" && (err != nil || *got != tt.want) {
				t.Errorf("got %+v, %v, want %+v", got, err, tt.want)
			}
			if tt.err != "" && (err == nil || !strings.Contains(err.Error(), tt.err) || strings.Contains(err.Error(), "secret") || api.CodeOf(err) != api.CodeUnavailable) {
				t.Errorf("got %v, want %q without the password", err, tt.err)
			}
		})
	}
	for _, url := range []string{"", "marathon:8080", "http://", "http://a:b:c"} {
		if _, err := (info.Asker{}).Info(t.Context(), url); api.CodeOf(err) != api.CodeInvalid {
			t.Errorf("%q: got %v", url, err)
		}
	}
}
