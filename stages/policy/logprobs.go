package policy

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"itool/stages/policy/sample"
)

// packTokens is the number of tokens of one packed batch. A longer sequence gets a batch of its own. It
// bounds the memory, and no result depends on it.
const packTokens = 4096

// Sequence is a prompt and the answer that follows it, in token IDs.
type Sequence struct{ Prompt, Answer []int32 }

// Score returns, for each token of ids but the first, its log-probability in nats after the tokens before
// it, and the top likeliest tokens in its place. Like LogProbs it uses the model's raw distribution.
func (p *Policy) Score(ctx context.Context, ids []int32, top int) ([]Token, error) {
	if err := p.checkSequence(Sequence{Prompt: ids}); err != nil {
		return nil, fmt.Errorf("policy: score: %w", err)
	}
	n := len(ids) - 1
	if n == 0 {
		return nil, nil
	}
	f := p.takeForward()
	defer p.forwards.Put(f)
	grow(&f.pos, n)
	for i := range n {
		f.pos[i] = int32(i)
	}
	f.cu = append(f.cu[:0], 0, int32(n))
	f.layers(ids[:n], f.pos, f.attendPacked)
	var sampler sample.Sampler // for LogSumExp only
	out := make([]Token, 0, n)
	err := f.eachLogits(n, func(row int, logits []float32) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		lse := sampler.LogSumExp(logits)
		if lse-lse != 0 {
			return fmt.Errorf("policy: score: token %d: %w", row+1, errLogits(lse))
		}
		id := ids[row+1]
		t := Token{ID: id, LogProb: float64(logits[id]) - lse, Top: alternatives(logits, min(top, len(logits)), lse)}
		t.alignTop()
		out = append(out, t)
		return nil
	})
	return out, err
}

// LogProbs returns log π(answer[i] | prompt, answer[:i]) in nats for each token of each answer, at
// temperature 1: the model's raw distribution. The sequences are packed into batches without padding. A
// sequence's numbers have the same bits alone or together with others. An empty prompt is an error, since
// there is nothing to predict the first token from.
func (p *Policy) LogProbs(ctx context.Context, seqs []Sequence) ([][]float32, error) {
	return p.LogProbsWith(ctx, seqs, func(int) {})
}

// LogProbsWith is LogProbs that calls progress after each packed batch, with the number of sequences done.
func (p *Policy) LogProbsWith(ctx context.Context, seqs []Sequence, progress func(done int)) ([][]float32, error) {
	order := make([]int, len(seqs))
	for i, s := range seqs {
		order[i] = i
		if err := p.checkSequence(s); err != nil {
			return nil, fmt.Errorf("policy: sequence %d: %w", i, err)
		}
	}
	// Longest first: if memory does not suffice, that shows at once and not after an hour.
	size := func(i int) int { return len(seqs[i].Prompt) + len(seqs[i].Answer) }
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(size(b), size(a)) })
	f := p.takeForward()
	defer p.forwards.Put(f)
	out := make([][]float32, len(seqs))
	for from := 0; from < len(order); {
		to, tokens := from, 0
		for to < len(order) && (to == from || tokens+size(order[to]) <= packTokens) {
			tokens += size(order[to])
			to++
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if err := f.score(seqs, order[from:to], out); err != nil {
			return nil, fmt.Errorf("policy: log-probabilities: %w", err)
		}
		from = to
		progress(to)
	}
	return out, nil
}

func (p *Policy) checkSequence(s Sequence) error {
	n := len(s.Prompt) + len(s.Answer)
	switch {
	case len(s.Prompt) == 0:
		return fmt.Errorf("the prompt is empty")
	case n > p.ContextLength():
		return fmt.Errorf("%d tokens: %w of %d", n, ErrTooLong, p.ContextLength())
	}
	if err := p.checkTokens(s.Prompt); err != nil {
		return fmt.Errorf("prompt: %w", err)
	}
	if err := p.checkTokens(s.Answer); err != nil {
		return fmt.Errorf("answer: %w", err)
	}
	return nil
}

// score packs the sequences with the indices at into one batch. The last token of each sequence is only
// predicted, so it is not part of the input.
func (f *forward) score(seqs []Sequence, at []int, out [][]float32) error {
	f.ids, f.pos, f.target, f.cu = f.ids[:0], f.pos[:0], f.target[:0], append(f.cu[:0], 0)
	for _, i := range at {
		s, start := seqs[i], len(f.ids)
		f.ids = append(append(f.ids, s.Prompt...), s.Answer...)
		f.ids = f.ids[:len(f.ids)-1]
		for j := start; j < len(f.ids); j++ {
			f.pos = append(f.pos, int32(j-start))
			target := int32(-1)
			if a := j - start + 1 - len(s.Prompt); a >= 0 && a < len(s.Answer) {
				target = s.Answer[a]
			}
			f.target = append(f.target, target)
		}
		f.cu = append(f.cu, int32(len(f.ids)))
	}
	if len(f.ids) == 0 { // prompts of one token with empty answers
		for _, i := range at {
			out[i] = []float32{}
		}
		return nil
	}
	f.selectTargets(seqs, at)
	f.layers(f.ids, f.pos, f.attendPacked)
	logp, err := f.targetLogProbs(f.target)
	if err != nil {
		return err
	}
	for _, i := range at {
		n := len(seqs[i].Answer)
		out[i] = append([]float32{}, logp[:n]...)
		logp = logp[n:]
	}
	return nil
}

// selectTargets selects the rows that predict a token of an answer: the last rows of each segment.
func (f *forward) selectTargets(seqs []Sequence, at []int) {
	f.selecting, f.selected, f.firstSelected = true, f.selected[:0], f.firstSelected[:0]
	for n, i := range at {
		end := f.cu[n+1]
		first := end - int32(len(seqs[i].Answer))
		f.firstSelected = append(f.firstSelected, first)
		for row := first; row < end; row++ {
			f.target[len(f.selected)] = f.target[row]
			f.selected = append(f.selected, row)
		}
	}
	f.target = f.target[:len(f.selected)]
}

// errLogits says that the log-sum-exp of a row's logits is not a finite number.
func errLogits(lse float64) error {
	return fmt.Errorf("logits sum to %v: the weights are broken, or overflow", lse)
}
