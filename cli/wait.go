package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/flocker-mesos/flocker/api"
	"github.com/flocker-mesos/flocker/cli/output"
	"github.com/flocker-mesos/flocker/cli/progress"
	"github.com/flocker-mesos/flocker/cli/usage"
)

// goal is what a dataset is waited to become.
type goal struct {
	word    string // in `flocker volumes wait --for`
	what    string // for people
	reached func(*api.DatasetDetail) bool
	// gone says that a dataset of which nothing is known any more has reached it.
	gone bool
	// failed returns why a dataset that has reached it got an error for an answer; nil for a
	// goal that has no answer.
	failed func(*api.DatasetDetail) error
	// detail returns what else is said of a dataset that has reached it; nil for nothing.
	detail func(*api.DatasetDetail) string
}

func mounted() goal {
	return goal{word: "mounted", what: "mounted", reached: func(d *api.DatasetDetail) bool { return d.Status == statusMounted }}
}

func mountedOn(n *api.Node) goal {
	return goal{word: "mounted", what: "mounted on " + n.Name(), reached: func(d *api.DatasetDetail) bool {
		return d.Status == statusMounted && d.Dataset.HeldBy(n.ID)
	}}
}

func detached() goal {
	return goal{word: "detached", what: "detached", reached: func(d *api.DatasetDetail) bool { return d.Status == statusDetached }}
}

func destroyed() goal {
	return goal{word: "destroyed", what: "destroyed", gone: true, reached: func(d *api.DatasetDetail) bool { return d.Dataset.Destroyed }}
}

// grown is reached when the volume that is registered has the size that is
// wanted, and its file system as well.
func grown() goal {
	return goal{word: "grown", what: "as large as it should be", reached: func(d *api.DatasetDetail) bool {
		growing := d.State != nil && (d.State.Action == api.ActionGrow || d.State.Action == api.ActionGrowFS)
		return d.Dataset.Volume != nil && d.Dataset.Volume.Size >= d.Dataset.Size && !growing
	}}
}

func goals() []goal { return []goal{mounted(), detached(), destroyed(), grown()} }

// defaultTimeout is how long it is waited for something.
const defaultTimeout = 5 * time.Minute

// waitAlone is what --wait means without a value, as its help shows it; --timeout
// may say otherwise.
const waitAlone = "5m"

// waiting is whether a command waits for what it has asked for, and how long.
type waiting struct {
	wait    waitFlag
	timeout time.Duration
}

func (w *waiting) addFlags(flags *pflag.FlagSet, what string) {
	flags.VarPF(&w.wait, "wait", "", "wait until it is "+what+", and tell how it goes on").NoOptDefVal = waitAlone
	w.addTimeout(flags)
}

func (w *waiting) addTimeout(flags *pflag.FlagSet) {
	flags.DurationVar(&w.timeout, "timeout", defaultTimeout, "how long to wait")
}

// check says what is wrong with the flags.
func (w *waiting) check(cmd *cobra.Command, _ []string) error {
	switch timeout := cmd.Flags().Changed("timeout"); {
	case timeout && !w.wait.on:
		return usage.Errorf("--timeout says how long to --wait, and is of no use without it")
	case timeout && w.wait.limit > 0:
		return usage.Errorf("--wait=%s and --timeout %s say the same: give one of them", w.wait.limit, w.timeout)
	}
	w.timeout = cmp.Or(w.wait.limit, w.timeout)
	return w.checkTimeout()
}

func (w *waiting) checkTimeout() error {
	if w.timeout <= 0 {
		return usage.Errorf("--timeout %s: want a duration such as 5m", w.timeout)
	}
	return nil
}

// waitFlag is whether to wait; a duration says how long as well.
type waitFlag struct {
	on    bool
	limit time.Duration
}

// String implements pflag.Value.
func (f *waitFlag) String() string {
	if f.limit > 0 {
		return f.limit.String()
	}
	return fmt.Sprint(f.on)
}

// Type implements pflag.Value.
func (f *waitFlag) Type() string { return "duration" }

// Set implements pflag.Value.
func (f *waitFlag) Set(text string) error {
	switch text {
	case waitAlone, "true":
		*f = waitFlag{on: true}
		return nil
	case "false":
		*f = waitFlag{}
		return nil
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		return errors.New("want nothing, or a duration such as 30s")
	}
	*f = waitFlag{on: true, limit: d}
	return nil
}

// outcome is outcomes for one volume, which may be known by its id alone.
func (s *session) outcome(id api.DatasetID, name string, w *waiting, g goal) error {
	d := &api.DatasetDetail{Dataset: &api.Dataset{ID: id}}
	return s.outcomes([]*api.DatasetDetail{d}, false, w, g, func(*api.DatasetDetail) string { return name })
}

// redraw is how often a line on a terminal tells how long it takes.
const redraw = time.Second

// await waits until a dataset is as wanted, and tells how it goes on.
func (s *session) await(ctx context.Context, id api.DatasetID, name string, limit time.Duration, g goal) error {
	fmt.Fprintln(s.errs, output.Clean(fmt.Sprintf("Waiting until %s is %s, for %s at most.", name, g.what, limit)))
	seen := make(chan *api.DatasetDetail)
	var result *api.DatasetDetail // of the wait that has ended
	ended := make(chan error, 1)
	go func() {
		var err error
		result, err = s.AwaitVolume(ctx, ref(id), func(d *api.DatasetDetail) bool {
			select {
			case seen <- d:
			case <-ctx.Done():
			}
			return g.reached(d) || hopeless(d, g)
		})
		ended <- err
	}()
	line := progress.New(s.errs, s.errsView)
	tick := time.NewTicker(redraw)
	defer tick.Stop()
	var last *api.DatasetDetail
	for {
		select {
		case last = <-seen:
			line.Show(going(name, last, s.now()))
		case <-tick.C:
			if last != nil && s.errsView.Live {
				line.Show(going(name, last, s.now()))
			}
		case err := <-ended:
			line.End()
			last = cmp.Or(result, last)
			return s.verdict(ctx, err, name, last, limit, g)
		}
	}
}

// hopeless reports whether waiting alone does not bring a dataset to the goal: it was
// deleted, or an operator has to act first.
func hopeless(d *api.DatasetDetail, g goal) bool {
	if d.Dataset.Deleted {
		return !g.gone
	}
	st := d.State
	switch {
	case d.Dataset.Blocked != "" && !g.gone:
		return true
	case st == nil || d.Dataset.Holder == nil || st.Node != d.Dataset.Holder.Node:
		return false
	case st.Failure != nil && st.Failure.Lasting:
		return true
	}
	return (st.Phase == api.PhaseForeign || st.Phase == api.PhaseVanished) && !g.gone
}

// verdict says what a wait has come to.
func (s *session) verdict(ctx context.Context, err error, name string, last *api.DatasetDetail, limit time.Duration, g goal) error {
	switch {
	case err == nil && !g.reached(last) && last.Dataset.Deleted:
		return fmt.Errorf("%s was deleted, so it will not be %s. %s", name, g.what, last.Why)
	case err == nil && !g.reached(last):
		return fmt.Errorf("waiting alone does not make %s %s: %s", name, g.what, last.Why)
	case err == nil && g.failed != nil && g.failed(last) != nil:
		return g.failed(last)
	case err == nil:
		s.tell("%s is %s.", name, g.what)
		if g.detail != nil {
			s.tell("%s: %s.", name, g.detail(last))
		}
		return nil
	case api.CodeOf(err) == api.CodeNotFound && g.gone:
		s.tell("%s is %s.", name, g.what)
		return nil
	case s.ctx.Err() != nil:
		return fmt.Errorf("no longer waiting; it goes on without you. To wait again: flocker volumes wait %s --for %s", name, g.word)
	case ctx.Err() != nil && last != nil:
		return fmt.Errorf("gave up after %s: %s", limit, last.Why)
	case ctx.Err() != nil:
		return fmt.Errorf("gave up after %s: the control service has not answered", limit)
	}
	return err
}

// going says how far a dataset is, how long it has been at that, and why it is no
// further.
func going(name string, d *api.DatasetDetail, now time.Time) (what, howLong, why string) {
	what = name + ": " + d.Status
	st := d.State
	if st == nil || d.Dataset.Holder != nil && st.Node != d.Dataset.Holder.Node {
		if d.Dataset.Holder != nil {
			howLong = ago(now.Sub(d.Dataset.Holder.Since))
		}
		return what, howLong, ""
	}
	howLong = ago(now.Sub(st.Since))
	if st.Action != "" {
		what += ", " + st.Action
	}
	if f := st.Failure; f != nil {
		why = f.Cause
		if f.Action != st.Action {
			why = fmt.Sprintf("cannot %s: %s", f.Action, f.Cause)
		}
		howLong += fmt.Sprintf(", attempt %d", f.Attempts+1)
		if !f.NextTry.IsZero() {
			howLong += " in " + ago(f.NextTry.Sub(now))
		}
	}
	return what, howLong, why
}

// ago writes a duration to the second, 0 for what the clocks of two machines make
// negative.
func ago(d time.Duration) string { return max(d, 0).Truncate(time.Second).String() }

func newVolumesWait(g *group) *cobra.Command {
	var (
		p    output.Printer
		word string
		wait waiting
	)
	cmd := &cobra.Command{
		Use:   "wait VOLUME...",
		Short: "Wait until volumes are mounted, detached, destroyed or grown",
		Example: "  flocker volumes wait orders-db --for mounted\n" +
			"  flocker volumes wait orders-db --for detached --timeout 1m && systemctl poweroff",
		Args:              usage.Takes(cobra.MinimumNArgs(1), "at least one volume"),
		ValidArgsFunction: others(g.completeVolume),
		RunE: g.run(&p, func(s *session, args []string) error {
			if err := wait.checkTimeout(); err != nil {
				return err
			}
			want, err := goalNamed(word)
			if err != nil {
				return err
			}
			find := s.volume
			if want.gone {
				find = s.dying
			}
			all, err := named(args, find, datasetID)
			if err != nil {
				return err
			}
			wait.wait.on = true
			label := volumeName
			if len(args) == 1 {
				label = func(*api.DatasetDetail) string { return args[0] } // it may have lost its name
			}
			return s.outcomes(all, len(args) > 1, &wait, want, label)
		}),
	}
	flags := cmd.Flags()
	flags.StringVar(&word, "for", mounted().word, "what it should become: mounted, detached, destroyed or grown")
	wait.addTimeout(flags)
	addOutput(cmd, p.AddFlags)
	completeFlags(cmd, map[string]cobra.CompletionFunc{
		"for": words(texts(goals(), func(g goal) string { return g.word })...),
	})
	return cmd
}

func goalNamed(word string) (goal, error) {
	for _, g := range goals() {
		if g.word == word {
			return g, nil
		}
	}
	return goal{}, usage.Errorf("--for %q: want mounted, detached, destroyed or grown", word)
}
