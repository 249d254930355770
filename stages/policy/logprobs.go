package policy

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"itool/stages/policy/kernel"
)

// packTokens is the number of tokens of one packed batch. A longer sequence gets a batch of its own. It
// bounds the memory, and no result depends on it.
const packTokens = 4096

// Sequence is a prompt and the answer that follows it, in token IDs.
type Sequence struct{ Prompt, Answer []int32 }

// Score returns, for each token of ids but the first, its log-probability in nats after the tokens before
// it, and the top likeliest tokens in its place. Like LogProbs it uses the model's raw distribution.
func (p *Policy) Score(ctx context.Context, ids []int32, top int) (_ []Token, err error) {
	defer kernel.Catch(&err)
	if err := p.checkSequence(Sequence{Prompt: ids}); err != nil {
		return nil, fmt.Errorf("policy: score: %w", err)
	}
	n := len(ids) - 1
	if n == 0 {
		return nil, nil
	}
	if p.server != nil {
		return nil, errors.New("policy: score: a server's tokens have no alternatives: use LogProbs")
	}
	f := p.takeForward()
	defer p.forwards.Put(f)
	f.ids.Host, f.pos.Host = append(f.ids.Host[:0], ids[:n]...), f.pos.Host[:0]
	for i := range n {
		f.pos.Host = append(f.pos.Host, int32(i))
	}
	f.pack(0, int32(n))
	f.layers(f.attendPacked)
	f.normLast(n)
	out := make([]Token, 0, n)
	for at := 0; at < n; at += blockRows {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		if out, err = f.scoreRows(out, ids[at+1:min(at+blockRows, n)+1], at, top); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// scoreRows appends the tokens that follow rows from on of the normed residual stream.
func (f *forward) scoreRows(out []Token, ids []int32, from, top int) ([]Token, error) {
	f.picks = f.picks[:0]
	for i := range ids {
		f.picks = append(f.picks, kernel.Pick{Row: i, Of: ids[i : i+1], LogProbs: make([]float64, 1), Top: top})
	}
	f.d.Sample(f.picks, f.act.H.From(from*f.m.HiddenSize), f.m.Head)
	for i, p := range f.picks {
		if p.LogProb-p.LogProb != 0 {
			return nil, fmt.Errorf("policy: score: token %d: %w", from+i+1, errLogits(p.LogProb))
		}
		t := Token{ID: ids[i], LogProb: p.LogProbs[0], Top: p.Likeliest}
		t.alignTop()
		out = append(out, t)
	}
	return out, nil
}

// LogProbs returns log π(answer[i] | prompt, answer[:i]) in nats for each token of each answer, at
// temperature 1: the model's raw distribution. The sequences are packed into batches without padding. A
// sequence's numbers have the same bits alone or together with others. An empty prompt is an error, since
// there is nothing to predict the first token from.
func (p *Policy) LogProbs(ctx context.Context, seqs []Sequence) ([][]float32, error) {
	return p.LogProbsWith(ctx, seqs, func(int) {})
}

// LogProbsWith is LogProbs that calls progress after each packed batch, with the number of sequences done.
func (p *Policy) LogProbsWith(ctx context.Context, seqs []Sequence, progress func(int)) (_ [][]float32, err error) {
	defer kernel.Catch(&err)
	order := make([]int, len(seqs))
	for i, s := range seqs {
		order[i] = i
		if err := p.checkSequence(s); err != nil {
			return nil, fmt.Errorf("policy: sequence %d: %w", i, err)
		}
	}
	if p.server != nil {
		return p.scoreServed(ctx, seqs, progress)
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
	f.ids.Host, f.pos.Host, f.target.Host, f.segments.Cu.Host =
		f.ids.Host[:0], f.pos.Host[:0], f.target.Host[:0], append(f.segments.Cu.Host[:0], 0)
	f.selecting, f.selected.Rows.Host, f.firstSelected.Host = true, f.selected.Rows.Host[:0], f.firstSelected.Host[:0]
	for _, i := range at {
		f.add(seqs[i])
	}
	if len(f.ids.Host) == 0 { // prompts of one token with empty answers
		f.selecting = false
		for _, i := range at {
			out[i] = []float32{}
		}
		return nil
	}
	f.d.Send(&f.segments.Cu)
	f.d.Send(&f.firstSelected)
	f.layers(f.attendPacked)
	logp, err := f.targetLogProbs()
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

// add appends a sequence to the packed batch, and selects the rows that predict a token of its answer: the last
// ones.
func (f *forward) add(s Sequence) {
	start := len(f.ids.Host)
	f.ids.Host = append(append(f.ids.Host, s.Prompt...), s.Answer...)
	f.ids.Host = f.ids.Host[:len(f.ids.Host)-1]
	end := len(f.ids.Host)
	for row := start; row < end; row++ {
		f.pos.Host = append(f.pos.Host, int32(row-start))
	}
	f.segments.Cu.Host = append(f.segments.Cu.Host, int32(end))
	first := end - len(s.Answer)
	f.firstSelected.Host = append(f.firstSelected.Host, int32(first))
	for row := first; row < end; row++ {
		f.selected.Rows.Host = append(f.selected.Rows.Host, int32(row))
	}
	f.target.Host = append(f.target.Host, s.Answer...)
}

// errLogits says that a row's logits are not finite numbers.
func errLogits(logp float64) error {
	return fmt.Errorf("log-probability %v: the weights are broken, or overflow", logp)
}
