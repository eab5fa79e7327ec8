package host

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/sys/unix"
)

// LogLine is one message of the kernel's log.
type LogLine struct {
	Level int // syslog's: 0 emergency ... 4 warning ... 7 debug
	Text  string
	Seq   uint64 // its number since the machine started
}

// Bounds of what is read from the kernel's log.
const (
	maxLogLine  = 256  // bytes of a line
	maxLogLines = 1000 // of one Read
	maxSaid     = 3    // lines in an error
	levelNotice = 5
)

// KernelLog reads what the kernel logs after the log was opened.
type KernelLog struct{ fd int }

// OpenKernelLog opens /dev/kmsg at its end. Reading it needs CAP_SYSLOG where
// kernel.dmesg_restrict is set.
func OpenKernelLog() (*KernelLog, error) {
	fd, err := open("/dev/kmsg", unix.O_RDONLY|unix.O_NONBLOCK)
	if err != nil {
		return nil, fmt.Errorf("open kernel log: %w", err)
	}
	if _, err := unix.Seek(fd, 0, unix.SEEK_END); err != nil {
		_ = unix.Close(fd)
		return nil, fmt.Errorf("find end of kernel log: %w", err)
	}
	return &KernelLog{fd: fd}, nil
}

// Close closes the log. A nil log may be closed.
func (l *KernelLog) Close() {
	if l != nil {
		_ = unix.Close(l.fd)
	}
}

// Read returns the kernel's messages since the last Read, at most maxLogLines, and
// never waits. Missed is true if the kernel has overwritten some of them, or an
// error hides them. A nil log has none.
func (l *KernelLog) Read() (lines []LogLine, missed bool) {
	if l == nil {
		return nil, false
	}
	buffer := make([]byte, 8192) // the kernel's longest record
	for len(lines) < maxLogLines {
		n, err := unix.Read(l.fd, buffer)
		switch {
		case errors.Is(err, unix.EINTR):
		case errors.Is(err, unix.EAGAIN):
			return lines, missed
		case errors.Is(err, unix.EPIPE):
			missed = true
		case err != nil || n == 0:
			return lines, true
		default:
			if line, ok := parseLogRecord(string(buffer[:n])); ok {
				lines = append(lines, line)
			}
		}
	}
	return lines, missed
}

// LogEnd follows the end of the kernel's log. The Seq of a nil LogEnd is 0.
type LogEnd struct {
	mu   sync.Mutex
	log  *KernelLog
	last uint64
}

// OpenLogEnd follows the kernel's log from its present end.
func OpenLogEnd() (*LogEnd, error) {
	log, err := OpenKernelLog()
	if err != nil {
		return nil, err
	}
	return &LogEnd{log: log}, nil
}

// Seq returns the number of the newest line, 0 if the kernel logged none since OpenLogEnd.
func (e *LogEnd) Seq() uint64 {
	if e == nil {
		return 0
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for more := e.log != nil; more; {
		lines, _ := e.log.Read()
		more = len(lines) >= maxLogLines
		for _, l := range lines {
			e.last = max(e.last, l.Seq)
		}
	}
	return e.last
}

// Close closes the log. Seq then returns the last number that it read.
func (e *LogEnd) Close() {
	if e == nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.log.Close()
	e.log = nil
}

// parseLogRecord reads a record of /dev/kmsg, "PRIORITY,SEQUENCE,TIME,FLAGS;TEXT\n
// KEY=VALUE...". It returns false for what a program wrote into the log, and
// replaces what is not printable: the text quotes file names and commands.
func parseLogRecord(record string) (LogLine, bool) {
	head, text, ok := strings.Cut(record, ";")
	if !ok {
		return LogLine{}, false
	}
	priority, rest, _ := strings.Cut(head, ",")
	n, err := strconv.Atoi(priority)
	if err != nil || n < 0 || n>>3 != 0 {
		return LogLine{}, false
	}
	number, _, _ := strings.Cut(rest, ",")
	seq, _ := strconv.ParseUint(number, 10, 64)
	text, _, _ = strings.Cut(text, "\n")
	text = strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text[:min(len(text), maxLogLine)])
	return LogLine{Level: n & 7, Text: strings.TrimRight(strings.TrimSpace(text), "."), Seq: seq}, true
}

// kernelWords are the beginnings of messages that name a device, as the file systems,
// their journals and the block layer write them. Further on a message may quote what a
// task chose, such as the name of a process or a file. A message may even begin with the
// name of a process, of 15 bytes, so a device alone at the beginning is not enough.
var kernelWords = []*regexp.Regexp{
	regexp.MustCompile(`^[A-Za-z0-9-]+(?: [a-z]+)? ?\((?:device )?([^\s():,]+)[^()]*\): `), // XFS (loop3): ..., EXT4-fs error (device loop3): ...
	regexp.MustCompile(`^[A-Za-z0-9_ :/-]*error, dev ([^\s,]+), sector \d`),
	regexp.MustCompile(`^Buffer I/O error on dev(?:ice)? ([^\s,]+), logical block \d`),
	regexp.MustCompile(`^(?:Aborting journal on device|JBD2: [^()]* (?:on|for|device)) ([^\s,:]+)-\d+`),
	regexp.MustCompile(`^(\S+): (?:writeback error on|detected capacity change from|unable to read|rw=)`),
	regexp.MustCompile(`^sd \S+ \[(\S+)\] `),
}

// taskWords mark messages that begin with the name of a process.
var taskWords = regexp.MustCompile(` invoked oom-killer: |: page allocation (?:failure|stall)`)

// Concerns reports whether a line is about a block device, such as loop7, sda1 or
// dm-3. The journal of an ext4 is named after its device, as loop7-8.
func (l LogLine) Concerns(device string) bool {
	if device == "" || taskWords.MatchString(l.Text) {
		return false
	}
	for _, words := range kernelWords {
		if m := words.FindStringSubmatch(l.Text); len(m) == 2 && m[1] == device {
			return true
		}
	}
	return false
}

// about returns the warnings among lines that name a device, as one text.
func about(lines []LogLine, device string) string {
	var said []string
	for _, l := range lines {
		if l.Level < levelNotice && l.Concerns(device) && !slices.Contains(said, l.Text) && len(said) < maxSaid {
			said = append(said, l.Text)
		}
	}
	return strings.Join(said, "; ")
}

// DeviceName returns the kernel's name of a block device, such as loop7, "" if the
// device is gone.
func DeviceName(number uint64) string {
	link, err := os.Readlink(sysBlock(number))
	if err != nil {
		return ""
	}
	return filepath.Base(link)
}

func sysBlock(number uint64) string {
	return fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(number), unix.Minor(number))
}

// kernelSays runs f and adds to its error what the kernel logged meanwhile about
// the device at path.
func kernelSays(path string, f func() error) error {
	log, _ := OpenKernelLog() // without it, the error stands alone
	defer log.Close()
	err := f()
	if err == nil || log == nil {
		return err
	}
	number, numberErr := DeviceNumber(path)
	if numberErr != nil {
		return err
	}
	lines, _ := log.Read()
	if said := about(lines, DeviceName(number)); said != "" {
		return &kernelError{err: err, said: said}
	}
	return err
}

// kernelError is an error with what the kernel logged about it.
type kernelError struct {
	err  error
	said string
}

func (e *kernelError) Error() string { return e.err.Error() + ": the kernel says: " + e.said }
func (e *kernelError) Unwrap() error { return e.err }
