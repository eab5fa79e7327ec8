package main

import (
	"github.com/spf13/cobra"

	"github.com/flocker-mesos/flocker/cli/confirm"
)

// sure confirms at the command's terminal, or by --yes, what cannot be undone.
func sure(cmd *cobra.Command, p *confirm.Prompt, loss string) error {
	p.In, p.Err = cmd.InOrStdin(), cmd.ErrOrStderr()
	return p.Sure(loss)
}
