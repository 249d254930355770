package conform

import (
	"fmt"
	"io"
	"strings"
)

// Level says how bad a finding is.
type Level string

// The levels.
const (
	OK   Level = "ok"
	Note Level = "note" // for people: nothing is wrong
	Warn Level = "warn" // runs end well, but later or with more work than they need
	Fail Level = "FAIL" // runs can stall, lose items or give other bytes
)

// Finding is the outcome of a check, or of a part of it.
type Finding struct {
	Check string `json:"check"`
	Level Level  `json:"level"`
	Text  string `json:"text"`
}

// Report is what all checks found.
type Report struct {
	Stage    string    `json:"stage"`
	Command  []string  `json:"command"`
	Findings []Finding `json:"findings"`
	// Said is the end of what the program wrote in the first check that failed.
	Said string `json:"said,omitempty"`
}

// Failed reports whether a check failed.
func (r *Report) Failed() bool { return r.count(Fail) > 0 }

func (r *Report) count(l Level) (n int) {
	for _, f := range r.Findings {
		if f.Level == l {
			n++
		}
	}
	return n
}

// Text writes the report's end; the findings were said when they were made.
func (r *Report) Text(w io.Writer) error {
	if r.Said != "" {
		said := "  | " + strings.ReplaceAll(strings.TrimSpace(r.Said), "\n", "\n  | ")
		if _, err := fmt.Fprintf(w, "the program said at last:\n%s\n", said); err != nil {
			return err
		}
	}
	verdict := "can take the place of"
	if r.Failed() {
		verdict = "is not ready for"
	}
	_, err := fmt.Fprintf(w, "%d ok, %d warnings, %d failed: %s %s %s\n",
		r.count(OK), r.count(Warn), r.count(Fail), r.Command[0], verdict, r.Stage)
	return err
}

// Line is one finding as a line of text.
func (f Finding) Line() string { return fmt.Sprintf("%-4s  %-24s %s", f.Level, f.Check, f.Text) }
