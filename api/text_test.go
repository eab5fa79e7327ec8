package api_test

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/flocker-mesos/flocker/api"
)

const hostile = "a\x1b[2J\u009b31m\u202eb\u2066\u200b\ufeff\u2028\x7f\U000e0041\r"

func TestPrintedTextObeysNothing(t *testing.T) {
	var b bytes.Buffer
	if _, err := api.Printing(&b).Write([]byte("name\t" + hostile + "\nnext é 日本\n")); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(b.String(), "\n")
	if len(lines) != 3 || lines[1] != "next é 日本" || !strings.HasPrefix(lines[0], "name\ta\\x1b[2J\\x9b31m\\u202eb") {
		t.Errorf("got %q", lines)
	}
	if err := api.CheckText("", strings.ReplaceAll(lines[0], "\t", "")); err != nil {
		t.Error(err)
	}
}

func TestPrintedJSONHasTheSameValues(t *testing.T) {
	want := map[string]string{hostile: hostile, "b": "é 日本\n\t"}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	got := api.PrintableJSON(text)
	if err := api.CheckText("", string(got)); err != nil {
		t.Error(err)
	}
	var back map[string]string
	if err := json.Unmarshal(got, &back); err != nil || back[hostile] != hostile || back["b"] != want["b"] {
		t.Errorf("got %q, %v", got, err)
	}
	if !strings.Contains(string(got), "é 日本") {
		t.Errorf("got %q, want legible text as it is", got)
	}
}
