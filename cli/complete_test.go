package cli_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/flocker-mesos/flocker/cli"
)

// complete returns what a shell would offer.
func (c *cluster) complete(t *testing.T, args ...string) string {
	t.Helper()
	out, _, err := c.run(t, append([]string{cobra.ShellCompRequestCmd}, args...)...)
	if err != nil {
		t.Fatal(err)
	}
	words, _, _ := strings.Cut(out, ":")
	if !strings.Contains(out, ":4\n") { // no file names
		t.Errorf("%q: got %q, want no names of files", args, out)
	}
	return words
}

func TestShellsKnowWhatThereIs(t *testing.T) {
	c := newCluster(t)
	for line, want := range map[string]string{
		"volumes show ":                           "dddddddd-0004-4000-8000-000000000004\tdetached\n",
		"volumes show prod":                       "prod.orders-db.data\tmounted, node1.example.net\n",
		"volumes show aaaa":                       ordersID + "\tmounted, node1.example.net\n",
		"volumes destroy que":                     "queue\twaiting, node1.example.net\n",
		"volumes show prod.orders-db.data prod":   "",
		"volumes grow queue ":                     "",
		"volumes destroy prod.orders-db.data que": "queue\twaiting, node1.example.net\n",
		"volumes move queue --to node1":           "node1.example.net\tconnected for 3d\n",
		"nodes drain node2":                       "node2.example.net\tconnected for 3h, draining\n",
		"volumes list --status de":                "detached\ndeleting\ndestroyed\n",
		"volumes list -o y":                       "yaml\n",
		"volumes wait queue --for ":               "mounted\ndetached\ndestroyed\ngrown\n",
		"leases acquire queue --node node":        "node1.example.net\tconnected for 3d\nnode2.example.net\tconnected for 3h, draining\n",
	} {
		words := strings.Split(line, " ")
		if got := c.complete(t, words...); !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%s: got %q, want %q", line, got, want)
		}
	}
	if _, _, err := c.run(t, "context", "set", "lab", "--user", "x"); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{"context use l", "nodes list --context l"} {
		if got := c.complete(t, strings.Split(line, " ")...); got != "lab\n" {
			t.Errorf("%s: got %q, want lab", line, got)
		}
	}
}

func TestShellsHearNothingWhereNobodyAnswers(t *testing.T) {
	c := newCluster(t)
	c.Answer("GET /v1/volumes", http.StatusServiceUnavailable, map[string]string{"description": "not now"})
	c.Do("GET /v1/volumes", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) })
	if got := c.complete(t, "volumes", "show", ""); got != "" {
		t.Errorf("got %q, want nothing", got)
	}
	c.env["FLOCKER_CONTROL_PORT"] = "1"
	if got := c.complete(t, "nodes", "show", ""); got != "" {
		t.Errorf("got %q, want nothing", got)
	}
	delete(c.env, "FLOCKER_CERTS_PATH")
	if got := c.complete(t, "nodes", "show", ""); got != "" {
		t.Errorf("without certificates: got %q, want nothing", got)
	}
}

// Flags whose values cannot be guessed.
var free = map[string]bool{
	"help": true, "metadata": true, "remove": true, "size": true, "profile": true, "permissions": true, "timeout": true, "wait": true, "name": true, "no-headers": true,
	"user": true, "ca-file": true, "cert-file": true, "key-file": true, "all": true, "marathon": true, "strict": true, "diff": true, "write": true,
	"long": true, "deleted": true, "yes": true, "force": true, "leftovers": true, "end": true, "server": true, "control-service": true, "control-port": true, "certs-path": true,
	"marathon-user": true, "marathon-login": true, "marathon-password-file": true, "marathon-token-file": true, "marathon-service-account-file": true,
	"marathon-ca-file": true, "marathon-cert-file": true, "marathon-key-file": true,
}

func TestEveryFlagThatCanBeCompletedIs(t *testing.T) {
	var walk func(cmd *cobra.Command)
	walk = func(cmd *cobra.Command) {
		for _, child := range cmd.Commands() {
			walk(child)
		}
		if !cmd.HasParent() || cmd.HasSubCommands() {
			return
		}
		cmd.Flags().VisitAll(func(f *pflag.Flag) {
			if _, ok := cmd.GetFlagCompletionFunc(f.Name); !ok && !free[f.Name] && f.Value.Type() != "duration" {
				t.Errorf("%s --%s: got no completion", cmd.CommandPath(), f.Name)
			}
		})
		if cmd.ValidArgsFunction == nil {
			t.Errorf("%s: got no completion of arguments", cmd.CommandPath())
		}
	}
	root := &cobra.Command{Use: "flocker"}
	root.AddCommand(cli.Commands(&cli.Env{LookupEnv: func(string) (string, bool) { return "", false }})...)
	walk(root)
}
