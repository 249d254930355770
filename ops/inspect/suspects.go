package inspect

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"slices"

	"itool/ops/dataset"
	"itool/schemas"
	"itool/schemas/toolcall"
	"itool/stages/judge"
	"itool/stages/split"
)

// Suspects are examples whose reference may be wrong: policies are sure of another answer, and agree.
type Suspects struct {
	Schema     string    `json:"schema"`
	Run        string    `json:"run"`
	Confidence float64   `json:"confidence"` // least mean probability of the common answer
	Asked      int       `json:"asked"`      // examples that at least two policies trained on the data have answered
	Suspects   []Suspect `json:"suspects"`   // the surest first

	Unreadable []string `json:"unreadable,omitempty"`
}

// Suspect is one such example.
type Suspect struct {
	Example                   // without searches; its answers are those that agree
	Answer      string        `json:"answer"`      // the one of the last policy
	Confidence  float64       `json:"confidence"`  // mean probability of the answer over the policies
	Policies    int           `json:"policies"`    // that gave it
	Differences []judge.Fault `json:"differences"` // to the reference
	Parts       []judge.Part  `json:"parts"`       // see Answer
}

// DefaultConfidence is the least mean probability of a suspect's answer.
const DefaultConfidence = 0.5

// Suspects looks at the answers of all policies that were trained on the run's data: to held-out examples the greedy
// ones, to training examples the most probable ones of their trees. An example is suspected if at least two policies
// answered it, all of them with the same calls, which read and fail against the reference, and if the mean of the
// probabilities that they give to these answers is at least the confidence (0..1). The order of
// arguments does not count. *NoAnswersError: nothing was answered yet.
//
// A suspect is a hint, not a proof: policies that learnt the same mistake from other rows agree, too.
func (r *Run) Suspects(ctx context.Context, confidence float64) (*Suspects, error) {
	out := &Suspects{Schema: SchemaSuspects, Run: r.Name, Confidence: confidence, Suspects: []Suspect{}}
	all, err := r.trained(ctx)
	if err != nil {
		return nil, err
	}
	for _, id := range sortedIDs(all, nil) {
		if len(all[id]) < 2 {
			continue
		}
		out.Asked++
		sure := agreed(all[id])
		if sure < confidence {
			continue
		}
		ex, err := r.example(ctx, id)
		if err != nil {
			return nil, err
		}
		if ex == nil {
			continue
		}
		last := all[id][len(all[id])-1].round
		e, err := r.show(ctx, ex, all[id], Filter{}, last, newFaultPlaces())
		if err != nil {
			return nil, err
		}
		e.Effect = StayedWrong
		a := e.Answers[len(e.Answers)-1]
		out.Suspects = append(out.Suspects, Suspect{
			Example: *e, Answer: a.Text, Confidence: sure, Policies: len(e.Answers),
			Differences: a.Faults, Parts: a.Parts,
		})
	}
	slices.SortStableFunc(out.Suspects, func(a, b Suspect) int { return cmp.Compare(b.Confidence, a.Confidence) })
	out.Unreadable = r.Unreadable
	return out, nil
}

// Exclusions writes the suspects as a file that leaves their rows out of a run, a JSON object a line.
func (s *Suspects) Exclusions(w io.Writer) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	for i := range s.Suspects {
		x := &s.Suspects[i]
		question := []rune(x.Question)
		line := dataset.Exclusion{
			Exclusion: split.Exclusion{
				Source: x.Source, Row: x.Row, Turn: &x.Turn,
				Question: string(question[:min(len(question), split.MaxQuestion)]),
				Note:     fmt.Sprintf("%d policies of run %s agree on another answer", x.Policies, s.Run),
			},
			Reference: x.Reference, Answer: x.Answer, Confidence: x.Confidence,
		}
		if err := e.Encode(line); err != nil {
			return err
		}
	}
	return nil
}

// trained are the answers of the policies that were trained, each set of weights once.
func (r *Run) trained(ctx context.Context) (map[string][]given, error) {
	all := map[string][]given{}
	for _, p := range r.Policies {
		if p.Status != schemas.StatusTrained {
			continue
		}
		verdicts, err := r.answered(ctx, p.Round)
		if err != nil {
			return nil, err
		}
		for id, v := range verdicts {
			all[id] = append(all[id], given{p.Round, FromEvaluate, v})
		}
		if err := r.drawn(ctx, p.Round, nil, all); err != nil {
			return nil, err
		}
	}
	if len(all) == 0 {
		return nil, &NoAnswersError{Run: r.Name}
	}
	return all, nil
}

// agreed is the mean probability of wrong answers that all say the same; 0 if they do not.
func agreed(all []given) float64 {
	first, sure := "", 0.0
	for i, g := range all {
		if g.Pass || g.Cut {
			return 0
		}
		calls, err := toolcall.FormatOf(g.Answer).Read(g.Answer)
		if err != nil || len(calls) == 0 {
			return 0
		}
		if key := toolcall.Key(calls); i == 0 {
			first = key
		} else if key != first {
			return 0
		}
		sure += math.Exp(g.LogProb*float64(g.Tokens)) / float64(len(all))
	}
	return sure
}
