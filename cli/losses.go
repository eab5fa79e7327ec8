package cli

import (
	"cmp"
	"fmt"
	"strings"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/cli/confirm"
	"github.com/flocker-mesos/flocker/cli/output"
)

// sure asks for confirmation where the command's input and errors are.
func (s *session) sure(p *confirm.Prompt, loss string) error {
	s.attach(p)
	return p.Sure(loss)
}

func (s *session) attach(p *confirm.Prompt) { p.In, p.Err = s.in, s.errs }

// losses lists volumes below a heading, each with its size and users.
func losses(heading string, all []*api.DatasetDetail) string {
	var b strings.Builder
	b.WriteString(heading + "\n")
	for i, d := range all {
		if i == namesShown {
			fmt.Fprintf(&b, "  and %d more\n", len(all)-i)
			break
		}
		fmt.Fprintf(&b, "  %s\n", lossText(d))
	}
	return b.String()
}

// lossText names a volume with what makes it worth keeping: "orders-db (0d7a3c1e-...), 20GiB, used by /shop/orders on node1".
func lossText(d *api.DatasetDetail) string {
	text := string(d.Dataset.ID)
	if name := d.Dataset.Name(); name != "" {
		text = fmt.Sprintf("%s (%s)", name, text)
	}
	text += ", " + api.FormatSize(volumeSize(d))
	if users := usedBy(d, output.Short); users != "" {
		text += fmt.Sprintf(", used by %s on %s", users, cmp.Or(holderName(d), "an unknown node"))
	}
	if d.Lease != nil {
		text += fmt.Sprintf(", leased by node %s", d.Lease.Node)
	}
	return text
}

// totalSize returns the size of all volumes together.
func totalSize(all []*api.DatasetDetail) string {
	var bytes int64
	for _, d := range all {
		bytes += volumeSize(d)
	}
	return api.FormatSize(bytes)
}
