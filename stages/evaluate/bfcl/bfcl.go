// Package bfcl aggregates category scores as the Berkeley Function Calling Leaderboard
// v3 does.
//
// Verdicts go in, the row of the leaderboard's table comes out. A category that was not
// run is "not run" and never 0, and so is a group that needs it. The package runs
// nothing and checks no answers: see schemas/toolcall/bfcl for that.
//
//	table := bfcl.Aggregate(bfcl.Tally(verdicts))
//	fmt.Println(table.Live) // 74.99 %, or: not run (live_relevance)
package bfcl

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"itool/schemas"
)

// The categories of v3, by group.
var (
	simple    = []string{"simple", "java", "javascript"}
	nonLive   = []string{"multiple", "parallel", "parallel_multiple"} // and the three of simple as one category
	live      = []string{"live_simple", "live_multiple", "live_parallel", "live_parallel_multiple"}
	liveOther = []string{"live_irrelevance", "live_relevance"}
	multiTurn = []string{"multi_turn_base", "multi_turn_miss_func", "multi_turn_miss_param", "multi_turn_long_context"}
)

// irrelevance is the category that wants no call.
const irrelevance = "irrelevance"

// Count is how many cases of a category are right.
type Count struct{ Right, Total int }

// Score is the score of a category or of a group.
type Score struct {
	Name    string
	Share   float64  // of right answers, 0..1; no result if Missing is not empty
	Cases   int      // in the category or group
	Missing []string // categories that were not run
}

// Run reports whether all categories of the score were run.
func (s Score) Run() bool { return len(s.Missing) == 0 }

// String is the score for people.
func (s Score) String() string {
	if !s.Run() {
		return "not run (" + strings.Join(s.Missing, ", ") + ")"
	}
	return fmt.Sprintf("%.2f %%", 100*s.Share)
}

// Table is one row of the leaderboard.
type Table struct {
	Categories []Score // those that were run, by name

	Simple    Score // plain mean of Python, Java and JavaScript
	NonLive   Score // plain mean of simple, multiple, parallel, parallel_multiple and irrelevance
	Live      Score // over all cases of its six categories
	MultiTurn Score // plain mean of four
	Overall   Score // plain mean of non-live, live and multi-turn

	Relevance   Score // live_relevance
	Irrelevance Score // plain mean of irrelevance and live_irrelevance

	// The call categories alone, our main result. An answer that does not decode passes
	// irrelevance, so a model that writes garbage has 39 % on Live.
	NonLiveCalls Score // plain mean of simple, multiple, parallel and parallel_multiple
	LiveCalls    Score // over all cases of its four categories
}

// Tally counts verdicts by category. It leaves out those without a category, which
// belong to no benchmark.
func Tally(verdicts []schemas.Verdict) map[string]Count {
	counts := map[string]Count{}
	for _, v := range verdicts {
		if v.Category == "" {
			continue
		}
		c := counts[v.Category]
		c.Total++
		if v.Pass {
			c.Right++
		}
		counts[v.Category] = c
	}
	return counts
}

// Aggregate computes the row from the counts. A category without cases was not run.
func Aggregate(counts map[string]Count) Table {
	var t Table
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		if counts[name].Total > 0 {
			t.Categories = append(t.Categories, category(counts, name))
		}
	}
	t.Simple = plain("simple", categories(counts, simple)...)
	calls := append([]Score{t.Simple}, categories(counts, nonLive)...)
	t.NonLiveCalls = plain("non-live calls", calls...)
	t.NonLive = plain("non-live", append(calls, category(counts, irrelevance))...)
	t.LiveCalls = weighted("live calls", categories(counts, live)...)
	t.Live = weighted("live", append(categories(counts, live), categories(counts, liveOther)...)...)
	t.MultiTurn = plain("multi-turn", categories(counts, multiTurn)...)
	t.Overall = plain("overall", t.NonLive, t.Live, t.MultiTurn)
	t.Relevance = plain("relevance", category(counts, "live_relevance"))
	t.Irrelevance = plain("irrelevance", category(counts, irrelevance), category(counts, "live_irrelevance"))
	return t
}

func category(counts map[string]Count, name string) Score {
	c := counts[name]
	if c.Total <= 0 {
		return Score{Name: name, Missing: []string{name}}
	}
	return Score{Name: name, Share: float64(c.Right) / float64(c.Total), Cases: c.Total}
}

func categories(counts map[string]Count, names []string) (all []Score) {
	for _, name := range names {
		all = append(all, category(counts, name))
	}
	return all
}

// plain is the mean of the parts, with equal weights.
func plain(name string, parts ...Score) Score {
	s := group(name, parts)
	for _, p := range parts {
		s.Share += p.Share / float64(len(parts))
	}
	return s
}

// weighted is the mean over all cases of the parts.
func weighted(name string, parts ...Score) Score {
	s := group(name, parts)
	for _, p := range parts {
		if s.Cases > 0 {
			s.Share += p.Share * float64(p.Cases) / float64(s.Cases)
		}
	}
	return s
}

func group(name string, parts []Score) Score {
	s := Score{Name: name}
	for _, p := range parts {
		s.Cases += p.Cases
		s.Missing = append(s.Missing, p.Missing...)
	}
	return s
}
