package inspect

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"

	"itool/schemas"
	"itool/stages/judge"
)

// Examples are some examples of a run with what its policies answered.
type Examples struct {
	Schema string `json:"schema"`
	Run    string `json:"run"`
	// From and To are the policies between which an example is won or lost; To is the one that --wrong asks about.
	From     Policy    `json:"from"`
	To       Policy    `json:"to"`
	Total    int       `json:"total"`    // examples that the filter finds
	Examples []Example `json:"examples"` // by part and ID, as many of them as were asked for
	// Unreadable are records that were left out, and why.
	Unreadable []string `json:"unreadable,omitempty"`
}

// Example is one assistant's turn of the dataset and what became of it.
type Example struct {
	ID         string          `json:"id"`
	Source     string          `json:"source"` // file of the dataset
	Row        int             `json:"row"`    // in that file, from 0
	Turn       int             `json:"turn"`   // assistant's turn in the row, from 0
	Part       string          `json:"part"`   // train, validation, test
	Category   string          `json:"category,omitempty"`
	Difficulty string          `json:"difficulty,omitempty"`
	Question   string          `json:"question"` // the user's last turn
	Messages   json.RawMessage `json:"messages"` // [{role, content}], all turns before the answer
	Tools      json.RawMessage `json:"tools"`    // array of tool schemas
	Reference  string          `json:"reference"`
	Acceptable json.RawMessage `json:"acceptable,omitempty"` // BFCL's possible answers, if it has any
	Effect     Effect          `json:"effect,omitempty"`
	Answers    []Answer        `json:"answers"`            // by policy, in the order of the rounds
	Searches   []TreeSummary   `json:"searches,omitempty"` // by round: the trees of this example
}

// Effect is what became of an example between two policies.
type Effect string

// The effects. "" stands for an example that one of the two did not answer.
const (
	Won         Effect = "won"          // wrong before, right after
	Lost        Effect = "lost"         // right before, wrong after
	StayedRight Effect = "stayed right" // right before and after
	StayedWrong Effect = "stayed wrong" // wrong before and after
)

// Where an answer comes from.
const (
	FromEvaluate = "evaluate" // the greedy answer to a held-out example
	FromSearch   = "search"   // the most probable answer in the tree of a training example
)

// Answer is what one policy answered.
type Answer struct {
	Round     int     `json:"round"` // of the policy; −1 base, 0 warm-up
	Policy    string  `json:"policy"`
	From      string  `json:"from"` // evaluate or search
	Text      string  `json:"text"`
	Pass      bool    `json:"pass"`
	ErrorType string  `json:"error_type,omitempty"` // the paper's deficiency type
	ErrorName string  `json:"error_name,omitempty"` // the checker's
	Why       string  `json:"why,omitempty"`        // what the checker says of the first fault
	Cut       bool    `json:"cut,omitempty"`        // it reached the limit of length
	Prob      float64 `json:"probability"`          // of the whole answer, by the policy at temperature 1; 0..1
	// Faults are all differences to the reference, Parts the answer with its differences marked: those marked same
	// and wrong are the answer, those marked same and missing are the reference.
	Faults []judge.Fault `json:"faults,omitempty"`
	Parts  []judge.Part  `json:"parts"`
}

// Filter chooses examples. Its zero value is all held-out examples that were answered.
type Filter struct {
	IDs       []string // only these, of any part
	Part      string   // test, validation, or train: those that were searched
	Wrong     bool     // the answer of policy To is wrong
	Effect    Effect   // between From and To
	ErrorType string   // of the answer of policy To
	Either    string   // type of error of the answer of policy From or of policy To
	Category  string
	Tool      string // a fault of the answer of policy To is about this tool
	Parameter string // … and about this parameter
	From, To  *int   // rounds of policies; nil: the warm-up and the last policy with answers
	Limit     int    // most examples that are returned; 0: all
}

// NoAnswersError says that a run has no answers to look at yet.
type NoAnswersError struct {
	Run  string
	Part string
}

func (e *NoAnswersError) Error() string {
	if e.Part == schemas.PartTrain {
		return fmt.Sprintf("run %s has no search trees yet: they come once the warm-up is done "+
			"(itool watch %s shows how far it is)", e.Run, e.Run)
	}
	return fmt.Sprintf("run %s has no evaluation: none of its policies has answered held-out examples yet, or the run "+
		"holds none out (split.test_share, split.validation_share). itool watch %s shows how far it is; "+
		"itool examples %s --part train shows what its searches found", e.Run, e.Run, e.Run)
}

// given is an answer before it is laid beside the reference.
type given struct {
	round int
	from  string
	schemas.Verdict
}

// Examples returns the examples that a filter finds, with the answers of all policies. *NoAnswersError: there are
// none at all yet. *NotThereError: the filter asks for a type of error, a category, a tool or a parameter that nothing
// has.
func (r *Run) Examples(ctx context.Context, f Filter) (*Examples, error) {
	answers, err := r.answers(ctx, f)
	if err != nil {
		return nil, err
	}
	if err := r.unknown("wrong answer of the type", f.ErrorType, errorTypes(answers)); err != nil {
		return nil, err
	}
	from, to, err := r.between(answers, f)
	if err != nil {
		return nil, err
	}
	categories, at := map[string]int{}, newFaultPlaces()
	out := &Examples{
		Schema: SchemaExamples, Run: r.Name, From: *r.policy(from), To: *r.policy(to), Examples: []Example{},
	}
	for _, id := range sortedIDs(answers, f.IDs) {
		effect, first, last := effectOf(answers[id], from, to)
		if !f.wants(effect, first, last) {
			continue
		}
		ex, err := r.example(ctx, id)
		if err != nil {
			return nil, err
		}
		if ex == nil {
			if slices.Contains(f.IDs, id) {
				return nil, fmt.Errorf("run %s has no example %q: itool examples %s lists them", r.Name, id, r.Name)
			}
			continue
		}
		if ex.Category != "" {
			categories[ex.Category]++
		}
		if f.Part != "" && ex.Part != f.Part || f.Category != "" && ex.Category != f.Category {
			continue
		}
		e, err := r.show(ctx, ex, answers[id], f, to, at)
		if err != nil || e == nil {
			if err != nil {
				return nil, err
			}
			continue
		}
		e.Effect = effect
		if out.Total++; f.Limit == 0 || len(out.Examples) < f.Limit {
			if e.Searches, err = r.searches(ctx, id); err != nil {
				return nil, err
			}
			out.Examples = append(out.Examples, *e)
		}
	}
	if !f.narrow() { // else those of the category may be among the others
		if err := r.unknown("category", f.Category, categories); err != nil {
			return nil, err
		}
	}
	if out.Total == 0 && f.Tool+f.Parameter != "" {
		if f.narrow() || f.Category != "" { // the place may be known among the others
			f = Filter{Part: f.Part, Tool: f.Tool, Parameter: f.Parameter, From: f.From, To: f.To, Limit: 1}
			_, err = r.Examples(ctx, f)
		} else {
			err = at.check(r, f)
		}
		if err != nil {
			return nil, err
		}
	}
	slices.SortStableFunc(out.Examples, func(a, b Example) int { return cmp.Compare(a.Part, b.Part) })
	out.Unreadable = r.Unreadable
	return out, nil
}

// narrow reports whether the filter leaves examples out before their category is known.
func (f Filter) narrow() bool {
	return len(f.IDs) > 0 || f.Wrong || f.Effect+Effect(f.ErrorType+f.Either) != ""
}

// wants asks what the answers alone decide.
func (f Filter) wants(effect Effect, first, last *given) bool {
	either := func(g *given) bool { return g != nil && !g.Pass && g.ErrorType == f.Either }
	switch {
	case f.Wrong && (last == nil || last.Pass),
		f.Effect != "" && effect != f.Effect,
		f.ErrorType != "" && (last == nil || last.Pass || last.ErrorType != f.ErrorType),
		f.Either != "" && !either(first) && !either(last):
		return false
	}
	return true
}

// show lays the answers to an example beside its reference. It is nil if the filter asks for a fault that is not
// there. at gets the places of all faults.
func (r *Run) show(ctx context.Context, ex *schemas.Example, all []given, f Filter, to int, at faultPlaces) (
	*Example, error,
) {
	e := shown(ex)
	examiner, err := judge.NewExaminer(ex)
	if err != nil && ex.Part != schemas.PartDropped {
		r.Unreadable = append(r.Unreadable, err.Error())
	}
	found := f.Tool == "" && f.Parameter == ""
	for _, g := range all {
		a := Answer{
			Round: g.round, Policy: r.policy(g.round).Name, From: g.from, Text: g.Answer, Pass: g.Pass,
			ErrorType: g.ErrorType, ErrorName: g.ErrorName, Cut: g.Cut,
			Prob:  math.Exp(g.LogProb * float64(g.Tokens)),
			Parts: []judge.Part{{Mark: judge.Same, Text: g.Answer}},
		}
		if !a.Pass && examiner != nil {
			c := examiner.Compare(a.Text, a.Cut)
			a.Why, a.Faults, a.Parts = c.Why, c.Faults, c.Parts
		}
		at.add(a.Faults)
		if g.round == to && slices.ContainsFunc(a.Faults, func(x judge.Fault) bool {
			return (f.Tool == "" || x.Tool == f.Tool) && (f.Parameter == "" || x.Param == f.Parameter)
		}) {
			found = true
		}
		e.Answers = append(e.Answers, a)
	}
	if !found {
		return nil, nil
	}
	return e, nil
}

// shown is an example without answers.
func shown(ex *schemas.Example) *Example {
	e := &Example{
		ID: ex.ID, Source: ex.Source, Row: int(ex.Row), Turn: int(ex.Turn), Part: ex.Part, Category: ex.Category,
		Difficulty: ex.Difficulty, Reference: ex.Reference, Answers: []Answer{},
		Messages: raw(ex.Messages, "[]"), Tools: raw(ex.Tools, "[]"),
	}
	if ex.Acceptable != "" {
		e.Acceptable = raw(ex.Acceptable, "null")
	}
	var messages []struct{ Role, Content string }
	_ = json.Unmarshal([]byte(ex.Messages), &messages) // what is no list of messages has no question
	for _, m := range messages {
		if m.Role == "user" {
			e.Question = m.Content
		}
	}
	return e
}

// raw is a text as JSON, or other if it is none: a record may come from any program.
func raw(text, other string) json.RawMessage {
	if !json.Valid([]byte(text)) {
		return json.RawMessage(other)
	}
	return json.RawMessage(text)
}

// answers collects what the policies answered to the examples that a filter may find.
func (r *Run) answers(ctx context.Context, f Filter) (map[string][]given, error) {
	all := map[string][]given{}
	for _, p := range r.Policies {
		if f.Part == schemas.PartTrain || len(f.IDs) > 0 {
			if err := r.drawn(ctx, p.Round, f.IDs, all); err != nil {
				return nil, err
			}
		}
		if f.Part == schemas.PartTrain {
			continue
		}
		verdicts, err := r.answered(ctx, p.Round)
		if err != nil {
			return nil, err
		}
		for id, v := range verdicts {
			all[id] = append(all[id], given{p.Round, FromEvaluate, v})
		}
	}
	if len(all) == 0 && (len(f.IDs) == 0 || len(r.Policies) == 0) {
		return nil, &NoAnswersError{r.Name, f.Part}
	}
	return all, nil
}

// between are the rounds that a filter compares.
func (r *Run) between(answers map[string][]given, f Filter) (from, to int, err error) {
	first, last := math.MaxInt, math.MinInt
	for _, all := range answers {
		for _, g := range all {
			first, last = min(first, g.round), max(last, g.round)
		}
	}
	if len(answers) == 0 {
		first, last = -1, r.Policies[len(r.Policies)-1].Round
	}
	from, to = max(first, min(0, last)), last
	if f.From != nil {
		from = *f.From
	}
	if f.To != nil {
		to = *f.To
	}
	if f.From == nil {
		from = min(from, to)
	}
	for _, round := range []int{from, to} {
		if r.policy(round) == nil {
			return 0, 0, fmt.Errorf("run %s has no policy of round %d", r.Name, round)
		}
	}
	if from > to {
		return 0, 0, fmt.Errorf("run %s: the first policy of the comparison (%s) comes after the second (%s)",
			r.Name, r.policy(from).Name, r.policy(to).Name)
	}
	return from, to, nil
}

// effectOf is what became of an example between two rounds, and its answers in them; nil: none.
func effectOf(all []given, from, to int) (effect Effect, before, after *given) {
	for i := range all {
		if all[i].round == from {
			before = &all[i]
		}
		if all[i].round == to {
			after = &all[i]
		}
	}
	if before == nil || after == nil {
		return "", before, after
	}
	return effects[before.Pass][after.Pass], before, after
}

var effects = map[bool]map[bool]Effect{
	false: {false: StayedWrong, true: Won},
	true:  {false: Lost, true: StayedRight},
}

func sortedIDs(answers map[string][]given, only []string) []string {
	var ids []string
	if len(only) > 0 {
		ids = slices.Clone(only)
	} else {
		for id := range answers {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}
