package inspect

import (
	"cmp"
	"context"
	"maps"
	"slices"

	"itool/schemas"
	"itool/stages/judge"
)

// Deficiency says which errors each policy makes on the held-out examples, and which of them a round took away, left
// and brought.
type Deficiency struct {
	Schema  string     `json:"schema"`
	Run     string     `json:"run"`
	Rows    int        `json:"rows"`    // held-out examples that were answered
	Types   []string   `json:"types"`   // of errors that some policy makes, the most frequent first
	Changes []Change   `json:"changes"` // from each policy to the next, then from the warm-up to the last
	Places  []Place    `json:"places"`  // by tool and parameter, those with most faults first
	Calling []Calling  `json:"calling"` // by policy
	Faults  []FaultRow `json:"faults"`  // by kind of fault and policy

	Unreadable []string `json:"unreadable,omitempty"`
}

// Change compares two policies on the rows that both answered.
type Change struct {
	From  Policy       `json:"from"`
	To    Policy       `json:"to"`
	Rows  int          `json:"rows"`
	Won   int          `json:"won"`   // wrong before, right after
	Lost  int          `json:"lost"`  // right before, wrong after
	Types []TypeChange `json:"types"` // as Deficiency.Types, those that one of the two makes
}

// TypeChange is the signed change of one type of error: After = Before − Gone + New.
type TypeChange struct {
	Type   string `json:"type"`
	Before int    `json:"before"` // rows that are wrong in this way
	After  int    `json:"after"`
	Change int    `json:"change"` // After − Before: negative is better
	Stayed int    `json:"stayed"` // wrong in this way before and after
	Gone   int    `json:"gone"`   // wrong in this way before only
	Fixed  int    `json:"fixed"`  // … of which are right now; the others are wrong in another way
	New    int    `json:"new"`    // wrong in this way after only
	Broken int    `json:"broken"` // … of which were right before
}

// Place counts the faults about one parameter of one tool, or about the tool itself.
type Place struct {
	Tool      string `json:"tool"`
	Parameter string `json:"parameter,omitempty"` // "": the call itself
	Counts    []int  `json:"counts"`              // rows with such a fault, by policy, in the order of Calling
	Change    int    `json:"change"`              // last − warm-up (or first): negative is better
}

// Calling says how readily a policy calls.
type Calling struct {
	Policy   string `json:"policy"`
	Round    int    `json:"round"`
	WantNone int    `json:"want_none"` // rows that want words
	Called   int    `json:"called"`    // … and got a call: over-calling
	WantCall int    `json:"want_call"` // rows that want calls
	Silent   int    `json:"silent"`    // … and got words
	TooMany  int    `json:"too_many"`  // … and got more calls than wanted
	TooFew   int    `json:"too_few"`   // … and got fewer, but some
}

// FaultRow counts the rows with one kind of fault; a row can have several.
type FaultRow struct {
	Kind   judge.FaultKind `json:"kind"`
	Counts []int           `json:"counts"` // by policy, in the order of Calling
}

// Deficiency reads all verdicts and the examples whose answers are wrong. *NoAnswersError: there is no evaluation.
func (r *Run) Deficiency(ctx context.Context) (*Deficiency, error) {
	d := &Deficiency{
		Schema: SchemaDeficiency, Run: r.Name, Types: []string{}, Changes: []Change{}, Places: []Place{},
		Calling: []Calling{}, Faults: []FaultRow{},
	}
	var evaluated []Policy
	ids := map[string]bool{}
	for _, p := range r.Policies {
		verdicts, err := r.answered(ctx, p.Round)
		if err != nil {
			return nil, err
		}
		if len(verdicts) == 0 {
			continue
		}
		evaluated = append(evaluated, p)
		for id := range verdicts {
			ids[id] = true
		}
	}
	if len(evaluated) == 0 {
		return nil, &NoAnswersError{Run: r.Name}
	}
	d.Rows = len(ids)
	d.Types = r.types(evaluated)
	for i := 1; i < len(evaluated); i++ {
		d.Changes = append(d.Changes, r.change(evaluated[i-1], evaluated[i], d.Types))
	}
	if from := warmUp(evaluated); len(evaluated)-1 > from+1 {
		d.Changes = append(d.Changes, r.change(evaluated[from], evaluated[len(evaluated)-1], d.Types))
	}
	if err := r.places(ctx, d, evaluated, slices.Sorted(maps.Keys(ids))); err != nil {
		return nil, err
	}
	d.Unreadable = r.Unreadable
	return d, nil
}

// warmUp is the place of the policy that the rounds begin with.
func warmUp(evaluated []Policy) int {
	return max(0, slices.IndexFunc(evaluated, func(p Policy) bool { return p.Round == 0 }))
}

// types are the types of errors, the most frequent over all policies first.
func (r *Run) types(evaluated []Policy) []string {
	n := map[string]int{}
	for _, p := range evaluated {
		for _, v := range r.verdicts[p.Round] {
			if !v.Pass {
				n[v.ErrorType]++
			}
		}
	}
	return slices.SortedFunc(maps.Keys(n), func(a, b string) int {
		return cmp.Or(cmp.Compare(n[b], n[a]), cmp.Compare(a, b))
	})
}

// Changed compares the verdicts on two policies, by example.
func (r *Run) change(from, to Policy, types []string) Change {
	c := Change{From: from, To: to, Types: []TypeChange{}}
	by := map[string]*TypeChange{}
	of := func(t string) *TypeChange {
		if by[t] == nil {
			by[t] = &TypeChange{Type: t}
		}
		return by[t]
	}
	after := r.verdicts[to.Round]
	for id, b := range r.verdicts[from.Round] {
		a, both := after[id]
		if !both {
			continue
		}
		c.Rows++
		if !b.Pass && a.Pass {
			c.Won++
		}
		if b.Pass && !a.Pass {
			c.Lost++
		}
		stayed := !a.Pass && !b.Pass && a.ErrorType == b.ErrorType
		if !b.Pass {
			of(b.ErrorType).leave(stayed, a.Pass)
		}
		if !a.Pass {
			of(a.ErrorType).come(stayed, b.Pass)
		}
	}
	for _, t := range types {
		if x := by[t]; x != nil {
			x.Change = x.After - x.Before
			c.Types = append(c.Types, *x)
		}
	}
	return c
}

func (t *TypeChange) leave(stayed, right bool) {
	t.Before++
	switch {
	case stayed:
		t.Stayed++
	default:
		t.Gone++
		if right {
			t.Fixed++
		}
	}
}

func (t *TypeChange) come(stayed, wasRight bool) {
	if t.After++; !stayed {
		t.New++
		if wasRight {
			t.Broken++
		}
	}
}

// places counts faults by tool and parameter, and how readily the policies call.
func (r *Run) places(ctx context.Context, d *Deficiency, evaluated []Policy, ids []string) error {
	type place struct{ tool, parameter string }
	places, faults := map[place][]int{}, map[judge.FaultKind][]int{}
	d.Calling = make([]Calling, len(evaluated))
	for i, p := range evaluated {
		d.Calling[i] = Calling{Policy: p.Name, Round: p.Round}
	}
	for _, id := range ids {
		ex, err := r.example(ctx, id)
		if err != nil {
			return err
		}
		examiner := r.examiner(ex)
		for i, p := range evaluated {
			v, answered := r.verdicts[p.Round][id]
			if !answered {
				continue
			}
			var found []judge.Fault
			if !v.Pass && examiner != nil {
				found = examiner.Compare(v.Answer, v.Cut).Faults
			}
			d.Calling[i].add(v, found)
			seen := map[any]bool{} // a row counts once
			for _, f := range found {
				at := place{f.Tool, f.Param}
				if !seen[f.Kind] {
					tally(faults, f.Kind, i, len(evaluated))
				}
				if f.Tool != "" && !seen[at] {
					tally(places, at, i, len(evaluated))
				}
				seen[f.Kind], seen[at] = true, true
			}
		}
	}
	from := warmUp(evaluated)
	for at, counts := range places {
		d.Places = append(d.Places, Place{at.tool, at.parameter, counts, counts[len(counts)-1] - counts[from]})
	}
	for kind, counts := range faults {
		d.Faults = append(d.Faults, FaultRow{kind, counts})
	}
	slices.SortFunc(d.Places, func(a, b Place) int {
		return cmp.Or(cmp.Compare(sum(b.Counts), sum(a.Counts)), cmp.Compare(a.Tool, b.Tool),
			cmp.Compare(a.Parameter, b.Parameter))
	})
	slices.SortFunc(d.Faults, func(a, b FaultRow) int {
		return cmp.Or(cmp.Compare(sum(b.Counts), sum(a.Counts)), cmp.Compare(a.Kind, b.Kind))
	})
	return nil
}

func tally[K comparable](in map[K][]int, key K, i, n int) {
	if in[key] == nil {
		in[key] = make([]int, n)
	}
	in[key][i]++
}

func sum(x []int) (n int) {
	for _, v := range x {
		n += v
	}
	return n
}

// examiner judges answers to an example; nil: it cannot be judged.
func (r *Run) examiner(ex *schemas.Example) *judge.Examiner {
	if ex == nil {
		return nil
	}
	e, err := judge.NewExaminer(ex)
	if err != nil {
		r.Unreadable = append(r.Unreadable, err.Error())
		return nil
	}
	return e
}

// add counts one answer.
func (c *Calling) add(v schemas.Verdict, faults []judge.Fault) {
	has := func(kind judge.FaultKind) bool {
		return slices.ContainsFunc(faults, func(f judge.Fault) bool { return f.Kind == kind })
	}
	if !v.HasCall {
		if c.WantNone++; has(judge.FaultExtraCall) {
			c.Called++
		}
		return
	}
	c.WantCall++
	switch {
	case has(judge.FaultNoCall):
		c.Silent++
	case has(judge.FaultExtraCall):
		c.TooMany++
	case has(judge.FaultMissingCall):
		c.TooFew++
	}
}
