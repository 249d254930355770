package update

import (
	"context"
	"crypto/sha256"
	"fmt"
	"iter"
	"math"

	"itool/schemas"
	"itool/stages"
	"itool/stages/policy"
	"itool/stages/policy/train"
)

// funnel holds the pairs to train on and counts those that were left out.
type funnel struct {
	rows    int // branching nodes of the round
	kept    int // of the rows, by the filter
	foreign int // of the kept, searched with another policy than the round's
	pairs   []train.Pair
	example []string // of each pair
	longest int      // rows of the longest pair, see train.PairRows
}

// collect takes the pairs that the filter kept, in key order. It takes each pair once,
// because two nodes of a tree, or two trees, can hold the same pair. It leaves out pairs
// that were searched with another policy than policy, the round's: they say nothing
// about the one that is trained. Only this stage can check that, because it has the
// round's policy from the gather and not from the search.
func collect(batches iter.Seq2[schemas.Batch, error], policy string) (f funnel, err error) {
	seen := map[[sha256.Size]byte]bool{}
	for b, err := range batches {
		if err != nil {
			return f, err
		}
		rows, err := schemas.Decode[schemas.Pair](b)
		if err != nil {
			return f, stages.Reject(fmt.Errorf("update: %w", err))
		}
		for _, p := range rows {
			f.rows++
			if p.Reason != "" {
				continue
			}
			f.kept++
			if b.Header.Policy != policy {
				f.foreign++
				continue
			}
			id := fmt.Sprintf("%s node %d", p.ExampleID, p.Node)
			if len(p.ChosenIDs) == 0 || len(p.RejectedIDs) == 0 || len(p.PromptIDs) == 0 {
				return f, stages.Reject(fmt.Errorf("update: pair %s: prompt, chosen and rejected have %d, %d and %d "+
					"tokens; the filter must drop it", id, len(p.PromptIDs), len(p.ChosenIDs), len(p.RejectedIDs)))
			}
			if key := p.Identity(); !seen[key] {
				seen[key] = true
				f.add(id, p)
			}
		}
	}
	return f, nil
}

func (f *funnel) add(id string, p schemas.Pair) {
	f.pairs = append(f.pairs, train.Pair{ID: id, Prompt: p.PromptIDs, Chosen: p.ChosenIDs, Rejected: p.RejectedIDs})
	f.example = append(f.example, p.ExampleID)
	f.longest = max(f.longest, train.PairRows(len(p.PromptIDs), len(p.ChosenIDs), len(p.RejectedIDs)))
}

// logProbs are a policy's summed log-probabilities of both sides of a pair, in nats.
type logProbs struct{ chosen, rejected float64 }

// logProbsOf computes a policy's log-probabilities of all pairs.
func logProbsOf(ctx context.Context, p *policy.Policy, pairs []train.Pair) ([]logProbs, error) {
	seqs := make([]policy.Sequence, 0, 2*len(pairs))
	for _, x := range pairs {
		seqs = append(seqs,
			policy.Sequence{Prompt: x.Prompt, Answer: x.Chosen}, policy.Sequence{Prompt: x.Prompt, Answer: x.Rejected})
	}
	logps, err := p.LogProbs(ctx, seqs)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, stages.Reject(fmt.Errorf("update: log-probabilities of the pairs: %w", err))
	}
	out := make([]logProbs, len(pairs))
	for i := range out {
		out[i] = logProbs{sum(logps[2*i]), sum(logps[2*i+1])}
		if bad := out[i].chosen + out[i].rejected; math.IsNaN(bad) || math.IsInf(bad, 0) {
			return nil, stages.Reject(fmt.Errorf("update: pair %s: log-probability is not finite; "+
				"the policy's weights are broken", pairs[i].ID))
		}
	}
	return out, nil
}

func sum(x []float32) (s float64) {
	for _, v := range x {
		s += float64(v)
	}
	return s
}

// measure compares the pairs' log-probabilities before and after training. Those in m are
// means per token, in nats; the changes are means of absolute differences per whole
// side. moved reports whether any probability changed.
func measure(pairs []train.Pair, before, after []logProbs) (m map[string]float64, moved bool) {
	m = map[string]float64{}
	n := float64(len(pairs))
	for i, p := range pairs {
		nw, nl := float64(len(p.Chosen)), float64(len(p.Rejected))
		for _, side := range []struct {
			when string
			o    logProbs
		}{{"before", before[i]}, {"after", after[i]}} {
			w, l := side.o.chosen/nw, side.o.rejected/nl
			m["chosen_logp_"+side.when] += w / n
			m["rejected_logp_"+side.when] += l / n
			m["margin_"+side.when] += (w - l) / n
			ahead := 0.0
			if w > l {
				ahead = 1
			}
			m["accuracy_"+side.when] += ahead / n
		}
		dw, dl := after[i].chosen-before[i].chosen, after[i].rejected-before[i].rejected
		m["chosen_change"] += math.Abs(dw) / n
		m["rejected_change"] += math.Abs(dl) / n
		m["chosen_tokens"] += nw / n
		m["rejected_tokens"] += nl / n
		moved = moved || dw != 0 || dl != 0
	}
	return m, moved
}
