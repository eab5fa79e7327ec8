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

// confirmed asks a person. Who calls from a script has thought about it.
func (s *session) confirmed(question string, args ...any) bool {
	in, ok := s.in.(*os.File)
	if !ok || !term.IsTerminal(int(in.Fd())) {
		return true
	}
	fmt.Fprint(s.errs, output.Clean(fmt.Sprintf(question, args...)))
	answer, err := bufio.NewReader(in).ReadString('\n')
	return err == nil && strings.TrimSpace(answer) == "yes"
}
