package cli

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/flocker-mesos/flocker/cli/output"
)

var errNothingDone = errors.New("nothing was done")

// onTerminal reports whether a person can be asked.
func (s *session) onTerminal() bool {
	in, ok := s.in.(*os.File)
	return ok && term.IsTerminal(int(in.Fd()))
}

// confirmed asks a person. Who calls from a script has thought about it.
func (s *session) confirmed(question string, args ...any) bool {
	return !s.onTerminal() || s.typed("yes", question, args...)
}

// typed asks a question, and reports whether a word was the answer.
func (s *session) typed(word, question string, args ...any) bool {
	fmt.Fprint(s.errs, output.Clean(fmt.Sprintf(question, args...)))
	answer, err := bufio.NewReader(s.in).ReadString('\n')
	return err == nil && strings.TrimSpace(answer) == word
}
