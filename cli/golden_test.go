package cli_test

import (
	"encoding/json"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/mattn/go-runewidth"

	"github.com/flocker-mesos/flocker/cli/output"
)

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func portText(port uint16) string { return strconv.Itoa(int(port)) }

// screens are where output goes.
func screens() map[string]output.Screen {
	return map[string]output.Screen{
		"80": {Width: 80, Color: true, Live: true}, "200": {Width: 200, Live: true}, "piped": {},
	}
}

func TestOutputFitsWhereItGoes(t *testing.T) {
	c := newCluster(t)
	for name, args := range map[string]string{
		"volumes-list":      "volumes list",
		"volumes-list-long": "volumes list -l --no-headers",
		"volumes-show":      "volumes show prod.orders-db.data",
		"nodes-list":        "nodes list",
		"nodes-show":        "nodes show node1.example.net",
		"leases-list":       "leases list",
		"backends":          "backends",
		"status":            "status",
		"marathon-apps":     "marathon apps",
	} {
		for where, screen := range screens() {
			t.Run(name+" "+where, func(t *testing.T) {
				c.screen = screen
				out, _, err := c.run(t, strings.Fields(args)...)
				if err != nil {
					t.Fatal(err)
				}
				golden(t, name+"."+where, out)
				if strings.Contains(out, "\x1b[31mred") || strings.Contains(out, "\x1b[31m\n") {
					t.Errorf("a name wrote to the terminal: %q", out)
				}
				if strings.Contains(out, "\x1b") != screen.Color && name != "backends" && name != "leases-list" {
					t.Errorf("colours: got %q, want them where %+v has them", out, screen)
				}
				for line := range strings.Lines(out) {
					if n := runewidth.StringWidth(withoutColors(strings.TrimSuffix(line, "\n"))); screen.Width > 0 && n > screen.Width && name != "volumes-list-long" {
						t.Errorf("%d columns wide, want at most %d: %q", n, screen.Width, line)
					}
				}
			})
		}
	}
}

func withoutColors(text string) string {
	for _, code := range []string{"0", "2", "31", "32", "33"} {
		text = strings.ReplaceAll(text, "\x1b["+code+"m", "")
	}
	return text
}

func TestProgramsReadOutputInTheFormTheyAskFor(t *testing.T) {
	c := newCluster(t)
	c.screen = output.Screen{Width: 80, Color: true, Live: true} // which makes no difference
	for name, args := range map[string]string{
		"volumes-list": "volumes list", "volumes-show": "volumes show queue", "nodes-list": "nodes list", "nodes-show": "nodes show node2.example.net",
		"leases-list": "leases list", "backends": "backends", "status": "status",
		"marathon-apps": "marathon apps",
	} {
		for _, format := range []string{"json", "yaml", "name", "wide"} {
			t.Run(name+" "+format, func(t *testing.T) {
				screen := c.screen
				defer func() { c.screen = screen }()
				if format == "wide" {
					c.screen = output.Screen{}
				}
				out, _, err := c.run(t, append(strings.Fields(args), "-o", format)...)
				if err != nil {
					t.Fatal(err)
				}
				golden(t, name+"."+format, out)
			})
		}
	}
}

func TestWideTablesAreNotCut(t *testing.T) {
	c := newCluster(t)
	piped, _, err := c.run(t, "volumes", "list", "-o", "wide")
	if err != nil {
		t.Fatal(err)
	}
	c.screen = output.Screen{Width: 80}
	narrow, _, err := c.run(t, "volumes", "list", "-o", "wide")
	if err != nil || narrow != piped {
		t.Errorf("got %v and\n%s\nwant\n%s", err, narrow, piped)
	}
}
