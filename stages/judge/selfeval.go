package judge

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"sort"
	"strings"

	"itool/schemas"
	"itool/stages/policy"
)

// Weights of the four options in Eq. 7, best first.
var Weights = [4]float64{1.0, 0.1, -1.0, -2.0}

// options are the choices of the model, in the order of Weights.
var options = [4]string{
	"The answer is right.",
	"The answer is nearly right.",
	"The answer is wrong.",
	"The answer is harmful or nonsense.",
}

var letters = [4]string{"A", "B", "C", "D"}

// instruction begins the turn that asks for a judgement.
const instruction = "You judge answers. Choose the option that fits the answer best and reply with its letter only."

// Evaluation is the conversation that asks for a judgement, prompt_eval of Eq. 7: all turns
// before the answer, the answer as the assistant's turn, and a user's turn with the options.
// Rendered with the example's tools it begins with the tokens that the policy has answered,
// so the policy judges what it saw. rotation shifts the options cyclically: letter i names
// option (i + rotation) mod 4. The conversation holds the reference only if withReference is
// set. An error names the example.
func Evaluation(
	ex *schemas.Example, answer string, withReference bool, rotation int,
) (turns []policy.Message, err error) {
	if err := json.Unmarshal([]byte(ex.Messages), &turns); err != nil {
		return nil, fmt.Errorf("example %s: messages: %w", ex.ID, err)
	}
	var b strings.Builder
	b.WriteString(instruction)
	if withReference {
		b.WriteString("\nReference:\n" + ex.Reference)
	}
	b.WriteString("\nOptions:")
	for i, l := range letters {
		b.WriteString("\n" + l + ". " + options[(i+rotation)%4])
	}
	b.WriteString("\nLetter:")
	return append(turns,
		policy.Message{Role: "assistant", Content: answer}, policy.Message{Role: "user", Content: b.String()}), nil
}

// Reading is one self-evaluation.
type Reading struct {
	Probs [4]float64 // of the options, best first, renormalised and averaged over the rotations
	Mass  float64    // probability of the four letters together, mean over the rotations
	C     float64    // Σ weight · probability, Eq. 7
}

// SelfEvaluator asks a policy to judge answers itself, one at a time. The beginning that
// a prompt shares with the prompt before it is not computed again.
type SelfEvaluator struct {
	p       *policy.Policy
	ids     [4]int32
	session *policy.Session // nil before the first
}

// NewSelfEvaluator looks up the letters. It fails if the tokenizer needs more than one
// token for one of them, because a choice is read at a single position.
func NewSelfEvaluator(p *policy.Policy) (*SelfEvaluator, error) {
	e := &SelfEvaluator{p: p}
	end := len(p.EndOfTurn())
	for i, l := range letters {
		ids := p.Answer(l)
		if len(ids) != 1+end {
			n := len(ids) - end
			return nil, fmt.Errorf("self-evaluation: the letter %s is %d tokens in this tokenizer, one is needed", l, n)
		}
		e.ids[i] = ids[0]
	}
	return e, nil
}

// Prompts are the prompts of Evaluate, one per rotation. An error is about the example's
// messages, or the chat template's.
func (e *SelfEvaluator) Prompts(ex *schemas.Example, answer string, withReference bool) ([4][]int32, error) {
	var prompts [4][]int32
	for r := range prompts {
		turns, err := Evaluation(ex, answer, withReference, r)
		if err != nil {
			return prompts, fmt.Errorf("self-evaluation: %w", err)
		}
		if prompts[r], err = e.p.Prompt(turns, json.RawMessage(ex.Tools)); err != nil {
			return prompts, fmt.Errorf("self-evaluation: example %s: %w", ex.ID, err)
		}
	}
	return prompts, nil
}

// Letters are the tokens whose probabilities Evaluate reads after each prompt.
func (e *SelfEvaluator) Letters() [4]int32 { return e.ids }

// Evaluate reads the probabilities of the four letters at the position where the
// assistant's turn begins. The paper averages four samples. This is the exact
// expectation instead, averaged over the four rotations of the options, which also
// removes the position bias. The common beginning of the four prompts is computed once.
// The error is policy.ErrTooLong if the prompts do not fit into the context.
func (e *SelfEvaluator) Evaluate(
	ctx context.Context, ex *schemas.Example, answer string, withReference bool,
) (Reading, error) {
	prompts, err := e.Prompts(ex, answer, withReference)
	if err != nil {
		return Reading{}, err
	}
	shared := commonPrefix(prompts[:])
	if err := e.begin(prompts[0][:shared]); err != nil {
		return Reading{}, err
	}
	var tails [len(prompts)][]int32
	for r, ids := range prompts {
		tails[r] = ids[shared:]
	}
	logps, err := e.session.Choose(ctx, e.session.Root(), tails[:], e.ids[:])
	if err != nil {
		return Reading{}, err
	}
	var out Reading
	for r := range logps {
		out.add(logps[r], r)
	}
	for i, p := range out.Probs {
		out.C += Weights[i] * p
	}
	return out, nil
}

func (e *SelfEvaluator) begin(prompt []int32) (err error) {
	if e.session != nil {
		return e.session.Restart(prompt)
	}
	e.session, err = e.p.NewSession(prompt)
	return err
}

// add adds one rotation, in which letter i named option (i + rotation) mod 4.
func (r *Reading) add(logps []float32, rotation int) {
	var p [4]float64
	var mass float64
	for i, l := range logps {
		p[i] = math.Exp(float64(l))
		mass += p[i]
	}
	r.Mass += mass / 4
	for i := range p {
		share := 0.25 // without any mass the policy prefers none
		if mass > 0 {
			share = p[i] / mass
		}
		r.Probs[(i+rotation)%4] += share / 4
	}
}

// commonPrefix is the length of the lists' common prefix. It is less than the shortest
// list, so that each has a token left to append.
func commonPrefix(lists [][]int32) int {
	n := len(lists[0]) - 1
	for _, l := range lists[1:] {
		n = min(n, len(l)-1)
		for i := range n {
			if l[i] != lists[0][i] {
				n = i
				break
			}
		}
	}
	return n
}

// AUC is the probability that a passing answer has a higher score than a failing one;
// ties count half. It is NaN if all answers pass or all fail.
func AUC(score []float64, pass []bool) float64 {
	order := make([]int, len(score))
	for i := range order {
		order[i] = i
	}
	sort.SliceStable(order, func(a, b int) bool { return score[order[a]] < score[order[b]] })
	var ranks, good float64
	for i := 0; i < len(order); {
		j := i
		for j < len(order) && score[order[j]] == score[order[i]] {
			j++
		}
		for k := i; k < j; k++ {
			if pass[order[k]] {
				ranks += float64(i+j+1) / 2 // the mean of ranks i+1 … j
				good++
			}
		}
		i = j
	}
	bad := float64(len(score)) - good
	if good == 0 || bad == 0 {
		return math.NaN()
	}
	return (ranks - good*(good+1)/2) / (good * bad)
}
