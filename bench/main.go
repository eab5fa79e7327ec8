package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// benchmark is one group of figures.
type benchmark struct {
	name string
	what string
	run  func(s settings) ([]result, error)
}

type settings struct {
	dir    string // where images and mount points go
	rounds int
	many   int // mounted volumes of P6 and P7
	bin    string
	// launcher starts the programs that are measured from outside.
	launcher *launcher
}

var benchmarks = []benchmark{
	{"volume", "P1, P4: a volume up and down through the agent, against system calls and the shell", benchVolume},
	{"parallel", "P8: volumes a second with several workers", benchParallel},
	{"grow", "a volume in use becomes larger, against the programs by hand", benchGrow},
	{"look", "P6: a look at one volume beside many", benchLook},
	{"restart", "P7: an agent finds everything again", benchRestart},
	{"csi", "P15: publishing a volume by CSI, against a call that does nothing", benchCSI},
	{"hook", "the isolator's prepare against /bin/true", benchHook},
	{"p5", "P5: what a change costs beside many datasets, with a log in Consul", benchBeside},
	{"p9", "P9: a change beside many agents and volumes; what they cost at rest and after a restart", benchScale},
	{"p10", "P10: durable changes a second through REST, against puts to Consul", benchRate},
	{"p11", "P11: the whole configuration, and that it is unchanged", benchConfiguration},
	{"rest", "creating and listing datasets through REST, beside few and beside many", benchREST},
	{"p2", "P2, P14: a volume through the whole stack, and from one agent to another", benchStack},
	{"p12", "P12: a replica is killed, Consul's leader is killed", benchOutage},
	{"marathon", "a head start by Marathon's word; what one of its events costs beside many apps and beside few", benchMarathon},
	{"p13", "P13: a node's power is cut, and its volume follows", benchLost},
}

func main() {
	if len(os.Args) == 4 && os.Args[1] == bareCommand {
		fmt.Fprintln(os.Stderr, "bench:", serveBare(os.Args[2], os.Args[3]))
		os.Exit(1)
	}
	var s settings
	flag.StringVar(&s.dir, "dir", "/var/tmp", "directory for images and mount points")
	flag.IntVar(&s.rounds, "n", 40, "rounds of each measurement, at least 30")
	flag.IntVar(&s.many, "many", 1000, "mounted volumes for the figures beside many")
	flag.StringVar(&s.bin, "bin", "bin", "directory of the built programs")
	only := flag.String("only", "", "run only these, separated by commas: "+names())
	flag.Parse()
	if err := run(s, *only); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func names() string {
	var out []string
	for _, b := range benchmarks {
		out = append(out, b.name)
	}
	return strings.Join(out, ",")
}

func run(s settings, only string) error {
	dir, err := os.MkdirTemp(s.dir, "flocker-bench-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	s.dir = dir
	if err := fixLoopDevices(); err != nil {
		return err
	}
	s.launcher = newLauncher()
	var results []result
	for _, b := range benchmarks {
		if only != "" && !strings.Contains(","+only+",", ","+b.name+",") {
			continue
		}
		fmt.Fprintf(os.Stderr, "%s: %s\n", b.name, b.what)
		s.dir = filepath.Join(dir, b.name)
		if err := os.Mkdir(s.dir, 0o700); err != nil {
			return err
		}
		more, err := b.run(s)
		if err != nil {
			return fmt.Errorf("%s: %w", b.name, err)
		}
		results = append(results, more...)
		if err := fixLoopDevices(); err != nil {
			return err
		}
	}
	devices, err := loopDevices()
	if err != nil {
		return err
	}
	fmt.Printf("%d loop devices at the start; medians with 10th-90th percentile of interleaved rounds\n\n", devices)
	report(os.Stdout, results)
	missed := 0
	for _, r := range results {
		if !r.met() {
			missed++
		}
	}
	fmt.Printf("\n%d figures, %d goals missed\n", len(results), missed)
	return nil
}
