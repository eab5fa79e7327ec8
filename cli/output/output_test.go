package output_test

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"
	"time"

	"go.yaml.in/yaml/v3"
	"golang.org/x/sys/unix"

	"github.com/flocker-mesos/flocker/cli/output"
)

func TestTableFitsItsScreen(t *testing.T) {
	tbl := output.NewTable(output.Column{Head: "NAME"}, output.Column{Head: "STATUS", Whole: true}, output.Column{Head: "NODE"}, output.Column{Head: "MORE", Wide: true})
	tbl.Add("orders-db.data-of-last-year", "unreachable", "node1.example.net", "1")
	tbl.Add("größe", "mounted", "n2", "2")
	tbl.Add("データベース", "mounted", "n2", "3")
	tests := map[int]string{
		0: "NAME                          STATUS        NODE\n" +
			"orders-db.data-of-last-year   unreachable   node1.example.net\n" +
			"größe                         mounted       n2\n" +
			"データベース                  mounted       n2\n",
		40: "NAME          STATUS        NODE\n" +
			"orders-db.…   unreachable   node1.examp…\n" +
			"größe         mounted       n2\n" +
			"データベー…   mounted       n2\n",
		10: "NAME       STATUS        NODE\n" +
			"orders-…   unreachable   node1.e…\n" +
			"größe      mounted       n2\n" +
			"データ…    mounted       n2\n",
	}
	for width, want := range tests {
		var out bytes.Buffer
		p := output.Printer{W: &out, Screen: output.Screen{Width: width}}
		p.Table(tbl)
		if out.String() != want {
			t.Errorf("width %d: got\n%swant\n%s", width, out.String(), want)
		}
	}
}

func TestYAMLSaysWhatJSONSays(t *testing.T) {
	value := map[string]any{
		"text": "yes", "number": "007", "date": "2026-01-02T00:00:00Z", "lines": "a\nb\n", "odd": "- x: #y", "empty": "", "list": []any{}, "map": map[string]any{},
		"float": 1.5, "int": float64(1 << 40), "null": nil, "true": true, "nested": []any{map[string]any{"a": "<&>\u2028😀"}},
	}
	printed := func(f output.Format) []byte {
		var out bytes.Buffer
		p := output.Printer{W: &out, Format: f}
		if err := p.List(value, nil, nil); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	var fromJSON, fromYAML any
	if err := json.Unmarshal(printed(output.FormatJSON), &fromJSON); err != nil {
		t.Fatal(err)
	}
	text := printed(output.FormatYAML)
	if err := yaml.Unmarshal(text, &fromYAML); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(fromYAML)
	if err != nil {
		t.Fatal(err)
	}
	var normal any
	if err := json.Unmarshal(again, &normal); err != nil || !reflect.DeepEqual(normal, fromJSON) {
		t.Errorf("got\n%s\nwhich is %v, want %v", text, normal, fromJSON)
	}
	if strings.Contains(string(text), "{") && !strings.Contains(string(text), "{}") {
		t.Errorf("got\n%s\nwant it in lines", text)
	}
}

func TestTextsOfOthersCannotWriteToTheTerminal(t *testing.T) {
	for text, want := range map[string]string{
		"plain ü 日本": "plain ü 日本", "\x1b[2J": `\x1b[2J`, "a\nb\tc\r": `a\nb\tc\r`, "\u202eevil": `\u202eevil`, "\u009b1m": `\u009b1m`,
	} {
		if got := output.Clean(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

func TestScreenThatIsNoneHasNothing(t *testing.T) {
	if got := output.ScreenOf(&bytes.Buffer{}, func(string) (string, bool) { return "", false }); got != (output.Screen{}) {
		t.Errorf("got %+v, want no width and no colours", got)
	}
}

func TestTerminalsHaveColoursUnlessTheyAreNotWanted(t *testing.T) {
	tty, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip("no terminal can be made here:", err)
	}
	defer tty.Close()
	if err := unix.IoctlSetWinsize(int(tty.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 24, Col: 77}); err != nil {
		t.Fatal(err)
	}
	for name, tt := range map[string]struct {
		env  map[string]string
		want output.Screen
	}{
		"a terminal":   {map[string]string{"TERM": "xterm", "NO_COLOR": ""}, output.Screen{Width: 77, Color: true, Live: true}},
		"NO_COLOR":     {map[string]string{"TERM": "xterm", "NO_COLOR": "1"}, output.Screen{Width: 77, Live: true}},
		"a dumb one":   {map[string]string{"TERM": "dumb"}, output.Screen{Width: 77}},
		"unknown kind": {nil, output.Screen{Width: 77}},
	} {
		got := output.ScreenOf(tty, func(name string) (string, bool) { v, ok := tt.env[name]; return v, ok })
		if got != tt.want {
			t.Errorf("%s: got %+v, want %+v", name, got, tt.want)
		}
	}
}

func TestAgeIsShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 59 * time.Second: "59s", time.Minute: "1m", 119 * time.Minute: "119m", 2 * time.Hour: "2h", 47 * time.Hour: "47h", 48 * time.Hour: "2d",
	} {
		if got := output.Age(d); got != want {
			t.Errorf("%v: got %s, want %s", d, got, want)
		}
	}
}
