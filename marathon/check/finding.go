package check

import "encoding/json"

// Severity says how bad a finding is.
type Severity string

// The severities.
const (
	Error   Severity = "error"   // would lose or lock up a volume, or never start
	Warning Severity = "warning" // delays, or risks something
	Note    Severity = "note"    // good to know
)

// Finding is one thing about a definition that somebody should know.
type Finding struct {
	App      string   `json:"app,omitempty"` // "" for what concerns all apps
	Source   string   `json:"source,omitempty"`
	Line     int      `json:"line,omitempty"`
	Column   int      `json:"column,omitempty"`
	Severity Severity `json:"severity"`
	Rule     string   `json:"rule"`
	Path     string   `json:"path"` // JSON pointer of the setting in the app
	What     string   `json:"what"`
	Why      string   `json:"why"`
	Fix      string   `json:"fix"`
	// Patch does what Fix says, where there is one right answer: a JSON patch for
	// the document.
	Patch Patch `json:"patch,omitempty"`
}

// Patch is a JSON patch (RFC 6902).
type Patch []Operation

// Operation is one change.
type Operation struct {
	Op    string          `json:"op"` // add, replace, remove or move
	From  string          `json:"from,omitempty"`
	Path  string          `json:"path"`
	Value json.RawMessage `json:"value,omitempty"`
}

// Count returns how many findings have a severity.
func Count(findings []Finding, severity Severity) int {
	n := 0
	for _, f := range findings {
		if f.Severity == severity {
			n++
		}
	}
	return n
}
