// Package confirm asks for a word before a command does what cannot be undone.
package confirm

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/flocker-mesos/flocker/cli/output"
	"github.com/flocker-mesos/flocker/cli/usage"
)

// ErrRefused says that the operator did not confirm.
var ErrRefused = errors.New("nothing was done")

// Prompt is how a command is confirmed: at the terminal, or by --yes.
type Prompt struct {
	Yes bool
	In  io.Reader
	Err io.Writer
}

// AddFlag adds --yes.
func (p *Prompt) AddFlag(flags *pflag.FlagSet) {
	flags.BoolVarP(&p.Yes, "yes", "y", false, "do not ask; needed without a terminal")
}

// Terminal reports whether a person can be asked.
func (p *Prompt) Terminal() bool {
	in, ok := p.In.(*os.File)
	return ok && term.IsTerminal(int(in.Fd()))
}

// Sure returns nil if the command may go on. Unless --yes is given, a person at a
// terminal reads what will be lost and types yes; without a terminal the command is
// refused. Loss is one or more lines, each a sentence or an item of a list.
func (p *Prompt) Sure(loss string) error {
	if p.Yes {
		return nil
	}
	if !p.Terminal() {
		return usage.Errorf("%s\nNothing was done: without a terminal to ask at, this needs --yes", strings.TrimRight(loss, "\n"))
	}
	return p.Ask("yes", loss)
}

// Ask shows what will be lost, and returns nil if a person types the word. --yes is no
// answer to it.
func (p *Prompt) Ask(word, loss string) error {
	for line := range strings.Lines(loss) {
		fmt.Fprintln(p.Err, output.Clean(strings.TrimRight(line, "\n")))
	}
	fmt.Fprint(p.Err, output.Clean(fmt.Sprintf("Type %s to go on: ", word)))
	answer, err := bufio.NewReader(p.In).ReadString('\n')
	if err != nil || strings.TrimSpace(answer) != word {
		return ErrRefused
	}
	return nil
}
