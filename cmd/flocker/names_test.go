package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestProgramIsWhatItIsCalled(t *testing.T) {
	c := newCluster(t)
	t.Chdir(t.TempDir())
	for line, want := range map[string]struct {
		code int
		text string
	}{
		"flockerctl version":       {exitOK, "flocker-volumes.py prototype version 0.0.1"},
		"flocker-volumes version":  {exitOK, "flocker-volumes.py prototype version 0.0.1"},
		"flocker-volumes --help":   {exitOK, "Usage: flocker-volumes [options]"},
		"flockerctl list-nodes -l": {exitOK, string(c.node) + "   127.0.0.1 \n\n"},
		"flockerctl create":        {exitFailure, "must specify --node"},
		"flockerctl create -n " + string(c.node)[:4] + " -m name=x -s 1G": {exitOK, "created dataset in configuration"},
		"flockerctl nosuch":         {exitFailure, "Unknown command: nosuch\nTry --help for usage details."},
		"flocker-ca initialize":     {exitUsage, "flocker-ca initialize: expected one cluster's name, got 0"},
		"flocker-ca --help":         {exitOK, "flocker-ca [command]"},
		"flocker completion bash":   {exitOK, "complete -o default"},
		"flocker completion zsh":    {exitOK, "#compdef flocker"},
		"flocker completion fish":   {exitOK, "complete -c flocker"},
		"flocker --help":            {exitOK, "  completion "},
		"flocker --version":         {exitOK, `flocker dev (go`},
		"flocker volumes delete x":  {exitUsage, `did you mean "destroy"? (Destroy volumes and all data on them`},
		"flocker volumes remove x":  {exitUsage, `did you mean "destroy"?`},
		"flocker volumes rename x":  {exitUsage, `did you mean "change"?`},
		"flocker volumes undelet x": {exitUsage, `did you mean "undelete"?`},
		"flocker volumes rm":        {exitUsage, `volumes destroy: expected at least one volume, got 0`},
		"flocker volumes inspect":   {exitUsage, `volumes show: expected at least one volume, got 0`},
		"flocker volumes resize":    {exitUsage, `volumes grow: expected a volume and its new size, got 0`},
		"flocker volumez":           {exitUsage, `did you mean "volumes"?`},
		"flocker create":            {exitUsage, `there is no command "create"; did you mean "flocker volumes create"?`},
		"flocker rm x":              {exitUsage, `did you mean "flocker nodes remove" or "flocker volumes destroy"?`},
		"flocker delete x":          {exitUsage, `or "flocker nodes remove" or "flocker volumes destroy"?`},
		"flocker destroy x":         {exitUsage, `did you mean "flocker volumes destroy"?`},
		"flocker resize x 1GiB":     {exitUsage, `did you mean "flocker volumes grow"?`},
		"flocker ps":                {exitUsage, `there is no command "ps"` + "\n"},
		"flocker volumes create y":  {exitUsage, `the name of a volume is given as --name y`},
		"flocker volumes move x y":  {exitUsage, `--to is missing: which node? There are: `},
	} {
		args := strings.Fields(line)
		var out, errs bytes.Buffer
		code := runAs(t.Context(), args[0], append([]string{}, withPort(c, args)...), &out, &errs)
		if code != want.code || !strings.Contains(out.String()+errs.String(), want.text) {
			t.Errorf("%s: got %d, %s%s\nwant %d, %s", line, code, out.String(), errs.String(), want.code, want.text)
		}
	}
	if code, out, errs := flocker(t, "volumes", "list", "-o", "name"); code != exitOK || out != "x\n" {
		t.Errorf("what flockerctl has made: got %d, %q, %q", code, out, errs)
	}
}

// withPort adds the port, for which flockerctl has no variable.
func withPort(c *testCluster, args []string) []string {
	if strings.HasPrefix(args[0], "flockerctl") {
		return append([]string{"--control-port", c.port}, args[1:]...)
	}
	return args[1:]
}
