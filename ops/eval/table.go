package eval

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"itool/schemas"
	"itool/stages/evaluate/bfcl"
	"itool/stages/evaluate/stats"
)

// Result is what an evaluation found.
type Result struct {
	Model   string        `json:"model"`
	Summary stats.Summary `json:"summary"`
	Groups  []Group       `json:"groups"`            // by category, or by file where there is none
	Board   *bfcl.Table   `json:"board,omitempty"`   // of a benchmark
	Against *Against      `json:"against,omitempty"` // the same questions answered by another
	Missing int           `json:"missing,omitempty"` // cases without an answer
	Most    int           `json:"most,omitempty"`    // questions of each file, if it is a sample
	Asked   int           `json:"asked"`             // cases that were answered now, not found answered
	Seconds float64       `json:"seconds"`           // that this took
	Skipped []Skipped     `json:"skipped,omitempty"` // parts that were not run
	Files   []File        `json:"files"`             // of questions
	Answers []Row         `json:"answers,omitempty"` // with --json
}

// Group are the cases of one category, or of one file without categories.
type Group struct {
	Name       string         `json:"name"`
	Pass       stats.Interval `json:"pass"`
	NoCall     int            `json:"no_call"`    // answers in words, or none, where a call is wanted
	Unreadable int            `json:"unreadable"` // other answers that do not decode
	Unoffered  int            `json:"unoffered"`  // answers that call a tool that is not offered
	Cut        int            `json:"cut"`        // answers that reached the length limit
	Refused    int            `json:"refused"`    // questions that no answer can pass: they are not asked
}

// Against compares with another folder's answers, case by case.
type Against struct {
	Model string           `json:"model"`
	Pass  stats.Interval   `json:"pass"` // of the other
	Gain  stats.Difference `json:"gain"` // ours − the other's
	Types []Change         `json:"types"`
}

// Change is one error type in both.
type Change struct {
	Type   string `json:"type"`
	Before int    `json:"before"` // wrong answers of the other
	After  int    `json:"after"`  // ours
}

// Row is one judged answer.
type Row struct {
	ID        string `json:"id"`
	Category  string `json:"category,omitempty"`
	Pass      bool   `json:"pass"`
	Answer    string `json:"answer"`
	ErrorName string `json:"error_name,omitempty"`
	ErrorType string `json:"error_type,omitempty"`
	Fault     string `json:"fault,omitempty"` // no_call, unreadable, unoffered or refused
	Cut       bool   `json:"cut,omitempty"`
}

// Summarise sums up verdicts on the cases of files; against, unless nil, are another's on the same. seed is of
// the bootstrap intervals.
func Summarise(model string, files []File, verdicts []schemas.Verdict, seed uint64) *Result {
	r := &Result{Model: model, Files: files, Summary: stats.Summarise(verdicts, seed)}
	cases := map[string]*Case{}
	for i := range files {
		for k := range files[i].Cases {
			cases[files[i].Cases[k].Example.ID] = &files[i].Cases[k]
		}
	}
	groups := map[string][]schemas.Verdict{}
	faults := map[string]map[fault]int{}
	for _, v := range verdicts {
		file, _, _ := strings.Cut(v.ExampleID, "/")
		name, found := cmp.Or(v.Category, file), cases[v.ExampleID].fault(v)
		groups[name] = append(groups[name], v)
		if faults[name] == nil {
			faults[name] = map[fault]int{}
		}
		faults[name][found]++
		r.Answers = append(r.Answers, Row{
			v.ExampleID, v.Category, v.Pass, v.Answer, v.ErrorName, v.ErrorType, string(found), v.Cut,
		})
	}
	for _, name := range slices.Sorted(maps.Keys(groups)) {
		g := Group{
			Name: name, Pass: stats.Summarise(groups[name], seed).Pass, NoCall: faults[name][noCall],
			Unreadable: faults[name][unreadable], Unoffered: faults[name][unoffered], Refused: faults[name][refused],
		}
		for _, v := range groups[name] {
			if v.Cut {
				g.Cut++
			}
		}
		r.Groups = append(r.Groups, g)
	}
	counts := bfcl.Tally(verdicts)
	maps.DeleteFunc(counts, func(name string, _ bfcl.Count) bool { return strings.HasPrefix(name, bankPrefix) })
	if len(counts) > 0 {
		board := bfcl.Aggregate(counts)
		r.Board = &board
	}
	return r
}

// Compare adds another's verdicts on the same cases.
func (r *Result) Compare(model string, other, ours []schemas.Verdict, seed uint64) {
	theirs := stats.Summarise(other, seed)
	a := &Against{Model: model, Pass: theirs.Pass, Gain: stats.Compare(other, ours, seed)}
	types := maps.Clone(theirs.Errors)
	maps.Copy(types, r.Summary.Errors)
	for _, name := range slices.Sorted(maps.Keys(types)) {
		a.Types = append(a.Types, Change{name, theirs.Errors[name], r.Summary.Errors[name]})
	}
	r.Against = a
}

// Text prints the result for a terminal.
func (r *Result) Text(out io.Writer) error {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintf(w, "%s: right %s\n\n", r.Model, r.Summary.Pass)
	fmt.Fprint(w, "  category\tright\tno call\tunreadable\tnot offered\tcut\n")
	for _, g := range r.Groups {
		fmt.Fprintf(w, "  %s\t%s\t%d\t%d\t%d\t%d\n", g.Name, g.Pass, g.NoCall, g.Unreadable, g.Unoffered, g.Cut)
	}
	r.textRefused(w)
	r.textBoard(w)
	r.textErrors(w)
	if a := r.Against; a != nil {
		fmt.Fprintf(w, "\nagainst %s (%s): %s, won %d, lost %d", a.Model, a.Pass, points(a.Gain.Interval), a.Gain.Won,
			a.Gain.Lost)
		if a.Gain.Unpaired > 0 {
			fmt.Fprintf(w, ", %d without a pair", a.Gain.Unpaired)
		}
		fmt.Fprintln(w)
	}
	for _, p := range r.protocols() {
		fmt.Fprintf(w, "\n%s\n", p)
	}
	for _, s := range r.Skipped {
		fmt.Fprintf(w, "not run: %s: %s\n", s.Name, s.Why)
	}
	for _, f := range r.Files {
		if len(f.Dropped) > 0 {
			fmt.Fprintf(w, "%s: rows that ask nothing: %s (first: %s)\n", f.Name, reasons(f.Dropped), f.Detail)
		}
	}
	if r.Most > 0 {
		fmt.Fprintf(w, "a sample: at most %d questions of each file\n", r.Most)
	}
	if r.Asked > 0 {
		took := time.Duration(r.Seconds * float64(time.Second))
		fmt.Fprintf(w, "%d answered now, in %s\n", r.Asked, took.Round(time.Second/10))
	}
	if r.Missing > 0 {
		fmt.Fprintf(w, "%d cases have no answer\n", r.Missing)
	}
	return w.Flush()
}

// textRefused prints how many questions no answer can pass, and why the first cannot.
func (r *Result) textRefused(w io.Writer) {
	n := 0
	for _, g := range r.Groups {
		n += g.Refused
	}
	if n == 0 {
		return
	}
	for _, f := range r.Files {
		for _, c := range f.Cases {
			if c.Refused != "" {
				fmt.Fprintf(w, "\n%d of them count as wrong and are not asked, because their own answers fail the "+
					"check (first: %s: %s)\n", n, c.ID, c.Refused)
				return
			}
		}
	}
}

// protocols are those of the files, each once.
func (r *Result) protocols() (all []string) {
	for _, f := range r.Files {
		if f.Protocol != "" && !slices.Contains(all, f.Protocol) {
			all = append(all, f.Protocol)
		}
	}
	return all
}

// textBoard prints what the leaderboard would, as far as its categories were run.
func (r *Result) textBoard(w io.Writer) {
	if r.Board == nil {
		return
	}
	b, head := r.Board, "\n  as the leaderboard\tright\tcases\n"
	for _, s := range []bfcl.Score{b.Simple, b.NonLiveCalls, b.NonLive, b.LiveCalls, b.Live, b.MultiTurn, b.Overall} {
		if s.Run() {
			fmt.Fprintf(w, "%s  %s\t%s\t%d\n", head, s.Name, s, s.Cases)
			head = ""
		}
	}
	if n := len(b.Overall.Missing); n > 0 {
		fmt.Fprintf(w, "\nthe leaderboard's overall score needs %d more categories, such as %s\n", n,
			b.Overall.Missing[0])
	}
}

// textErrors prints the types of errors, beside the other's.
func (r *Result) textErrors(w io.Writer) {
	if r.Against == nil && len(r.Summary.Errors) == 0 || r.Against != nil && len(r.Against.Types) == 0 {
		return
	}
	if r.Against == nil {
		fmt.Fprint(w, "\n  wrong answers by type\t\n")
		for _, name := range slices.Sorted(maps.Keys(r.Summary.Errors)) {
			fmt.Fprintf(w, "  %s\t%d\n", name, r.Summary.Errors[name])
		}
		return
	}
	fmt.Fprintf(w, "\n  wrong answers by type\t%s\t%s\tchange\n", r.Against.Model, r.Model)
	for _, c := range r.Against.Types {
		fmt.Fprintf(w, "  %s\t%d\t%d\t%+d\n", c.Type, c.Before, c.After, c.After-c.Before)
	}
}

// points prints a difference of shares in percentage points.
func points(i stats.Interval) string {
	return fmt.Sprintf("%+.1f points [%+.1f, %+.1f]", 100*i.Mean, 100*i.Low, 100*i.High)
}
