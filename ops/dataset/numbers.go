package dataset

import (
	"encoding/json"
	"fmt"
	"maps"
	"math/bits"
	"slices"

	"itool/schemas"
	"itool/schemas/toolcall"
)

// Numbers are the counts of a dataset's examples, the assistant turns. A run's report and
// itool data make them by the same code. Memory does not grow with the number of examples.
type Numbers struct {
	Examples   int                 `json:"examples"` // kept and dropped
	Kept       int                 `json:"kept"`
	Dropped    map[string]*Dropped `json:"dropped,omitempty"` // by reason
	Parts      map[string]int      `json:"parts"`             // train, validation, test; of the kept
	Difficulty map[string]int      `json:"difficulty"`        // easy, medium, hard; of the kept
	Calls      map[string]int      `json:"calls"`             // examples by calls in the answer: 0, 1, 2, 3, 4+
	Tokens     int64               `json:"tokens"`            // of the kept: prompts and answers
	Prompt     Lengths             `json:"prompt_tokens"`
	Answer     Lengths             `json:"answer_tokens"`
	Tools      Tools               `json:"tools"`
	Wrong      Contradictions      `json:"contradictions"`
}

// Dropped counts the examples that were dropped for one reason.
type Dropped struct {
	N      int      `json:"n"`
	Places []string `json:"places"` // of the first ones: file, row, what is wrong
}

// Tools counts the tools that the kept examples are given.
type Tools struct {
	Names int        `json:"names"` // different ones; "at least" beyond maxNames
	Most  []ToolUses `json:"most"`  // the tools called most
	Never int        `json:"never"` // names that no answer calls
	uses  map[string]*ToolUses
}

// ToolUses says how often a tool is there and is called.
type ToolUses struct {
	Name    string `json:"name"`
	Offered int    `json:"offered"` // examples that have it among their tools
	Called  int    `json:"called"`  // calls in answers
}

const (
	maxPlaces = 3
	maxNames  = 100_000
	mostTools = 10
)

// NewNumbers makes empty counts.
func NewNumbers() *Numbers {
	return &Numbers{
		Dropped: map[string]*Dropped{}, Parts: map[string]int{}, Difficulty: map[string]int{}, Calls: map[string]int{},
		Tools: Tools{uses: map[string]*ToolUses{}}, Wrong: Contradictions{Kinds: map[string]int{}},
	}
}

// Add counts an example.
func (n *Numbers) Add(e *schemas.Example) {
	n.Examples++
	if e.Part == schemas.PartDropped {
		d := n.Dropped[e.Reason]
		if d == nil {
			d = &Dropped{}
			n.Dropped[e.Reason] = d
		}
		if d.N++; len(d.Places) < maxPlaces {
			d.Places = append(d.Places, e.Detail)
		}
		return
	}
	n.Kept++
	n.Parts[e.Part]++
	n.Difficulty[e.Difficulty]++
	calls := fmt.Sprint(e.Calls)
	if e.Calls >= 4 {
		calls = "4+"
	}
	n.Calls[calls]++
	n.Tokens += int64(len(e.PromptIDs) + len(e.AnswerIDs))
	n.Prompt.add(len(e.PromptIDs))
	n.Answer.add(len(e.AnswerIDs))
	if e.Reference == "" {
		return // only asked: nothing says which tools are called
	}
	tools, err := toolcall.ParseTools(json.RawMessage(e.Tools))
	if err != nil {
		return // split has dropped such a row
	}
	turn := toolcall.Turn{}
	if e.Calls > 0 {
		turn, _ = toolcall.ReadTurn(e.Reference) // split has read it
	}
	n.Tools.add(tools, turn.Calls)
	n.Wrong.add(e, tools, turn.Calls)
}

func (t *Tools) add(tools []toolcall.Tool, calls []toolcall.Call) {
	use := func(name string) *ToolUses {
		u := t.uses[name]
		if u == nil {
			if len(t.uses) >= maxNames {
				return &ToolUses{}
			}
			u = &ToolUses{Name: name}
			t.uses[name] = u
		}
		return u
	}
	for _, tool := range tools {
		use(tool.Name).Offered++
	}
	for _, call := range calls {
		use(call.Name).Called++
	}
}

// Finish computes what can be told only at the end.
func (n *Numbers) Finish() {
	n.Prompt.finish()
	n.Answer.finish()
	t := &n.Tools
	t.Names, t.Never, t.Most = len(t.uses), 0, nil
	for _, u := range t.uses {
		if u.Called == 0 {
			t.Never++
		}
	}
	byUse := slices.SortedFunc(maps.Values(t.uses), func(a, b *ToolUses) int {
		if a.Called != b.Called {
			return b.Called - a.Called
		}
		return compare(a.Name, b.Name)
	})
	for _, u := range byUse[:min(mostTools, len(byUse))] {
		t.Most = append(t.Most, *u)
	}
}

func compare(a, b string) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// Lengths describes numbers of tokens.
type Lengths struct {
	Min     int      `json:"min"`
	Median  int      `json:"median"`
	P90     int      `json:"p90"` // nine in ten have at most as many
	P99     int      `json:"p99"`
	Max     int      `json:"max"`
	Buckets []Bucket `json:"buckets"` // by powers of two, up to the last that is not empty
	count   []int32  // by number of tokens; a model's context bounds it
	n       int
}

// Bucket counts the examples with at most To tokens and more than the bucket before.
type Bucket struct {
	To int `json:"to"`
	N  int `json:"n"`
}

// longest is the last length that is told apart.
const longest = 1 << 20

func (l *Lengths) add(tokens int) {
	tokens = min(tokens, longest)
	for len(l.count) <= tokens {
		l.count = append(l.count, make([]int32, tokens+1-len(l.count)+len(l.count)/2)...)
	}
	l.count[tokens]++
	l.n++
}

func (l *Lengths) finish() {
	*l = Lengths{count: l.count, n: l.n}
	if l.n == 0 {
		return
	}
	seen, first := 0, true
	for tokens, n := range l.count {
		if n == 0 {
			continue
		}
		before := seen
		seen += int(n)
		if first {
			l.Min, first = tokens, false
		}
		l.Max = tokens
		for _, q := range []struct {
			into  *int
			share float64
		}{{&l.Median, 0.5}, {&l.P90, 0.9}, {&l.P99, 0.99}} {
			if at := q.share * float64(l.n); float64(before) < at && at <= float64(seen) {
				*q.into = tokens
			}
		}
		to := 1 << bits.Len(uint(max(tokens, 1)-1))
		if last := len(l.Buckets) - 1; last >= 0 && l.Buckets[last].To == to {
			l.Buckets[last].N += int(n)
			continue
		}
		l.Buckets = append(l.Buckets, Bucket{to, int(n)})
	}
}
