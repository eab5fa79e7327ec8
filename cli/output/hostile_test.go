package output_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/cli/output"
)

func TestNoFormatPrintsWhatATerminalObeys(t *testing.T) {
	const name = "a\u009b2J\u202eb\x1b]0;x\a\u200b\x7f\U000e0041"
	value := map[string]string{"name": name, name: "v", "lines": "a: \u202e\nb\n"}
	for _, format := range output.Formats() {
		var b bytes.Buffer
		p := &output.Printer{W: &b, Format: format}
		if err := p.Show(value, name, func() { p.Field("name", "%s", name) }); err != nil {
			t.Fatal(err)
		}
		if err := api.CheckText("", strings.ReplaceAll(b.String(), "\n", "")); err != nil {
			t.Errorf("%s: %v", format, err)
		}
		var back map[string]string
		var err error
		switch format {
		case output.FormatJSON:
			err = json.Unmarshal(b.Bytes(), &back)
		case output.FormatYAML:
			err = yaml.Unmarshal(b.Bytes(), &back)
		default:
			continue
		}
		if err != nil || back["name"] != name || back[name] != "v" || back["lines"] != value["lines"] {
			t.Errorf("%s: got %q, %v", format, b.String(), err)
		}
	}
}
