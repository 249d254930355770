package export

import (
	"context"
	"errors"
	"fmt"
	"math"

	"itool/ops/courier"
	"itool/schemas"
	"itool/stages/policy"
)

// maxProbes is how many examples a merge is compared on.
const maxProbes = 8

// mergeTolerance is what rounding the weights to 16 bits may cost, in nats per token (see
// distance). A wrong merge is far beyond it, and so is bf16 after a short training: the base's
// weights stand on its steps, and a change of less than half a step vanishes. SmolLM2 of 135 M
// parameters after three steps: 0.22 nats in bf16, 0.002 in fp16, 0.04 in Q8_0, whose steps are others.
const mergeTolerance = 0.05

// Probes reads a few examples of the run, to compare models on.
func Probes(ctx context.Context, c *courier.Courier, run string) ([]policy.Sequence, error) {
	keys, err := c.ResultKeys(ctx, run, schemas.RecordExample, 0)
	if err != nil {
		return nil, err
	}
	var out []policy.Sequence
	for _, key := range keys {
		rows, _, err := courier.Rows[schemas.Example](ctx, c, run, schemas.RecordExample, 0, key)
		var infra *courier.InfraError
		if errors.As(err, &infra) || ctx.Err() != nil {
			return nil, err
		}
		if err != nil {
			continue // no result of the run: the report counts it
		}
		for _, e := range rows {
			if len(out) < maxProbes && e.Part != schemas.PartDropped && len(e.AnswerIDs) > 0 {
				out = append(out, policy.Sequence{Prompt: e.PromptIDs, Answer: e.AnswerIDs})
			}
		}
		if len(out) == maxProbes {
			break
		}
	}
	return out, nil
}

// sameAnswers refuses a merged model that does not answer as base + adapter do, and
// returns their distance.
func sameAnswers(ctx context.Context, unmerged, merged *policy.Policy, probes []policy.Sequence) (float64, error) {
	nats, err := distance(ctx, unmerged, merged, probes)
	if err == nil && nats > mergeTolerance {
		err = fmt.Errorf("the merged model differs from base + adapter by %.3g nats per token on %d examples "+
			"(bound %g): %w", nats, len(probes), mergeTolerance, ErrCoarse)
	}
	return nats, err
}

// distance compares two policies: the mean over an answer's tokens of |Δ log-probability|,
// in nats per token, of the answer where it is largest.
func distance(ctx context.Context, a, b *policy.Policy, probes []policy.Sequence) (float64, error) {
	x, err := a.LogProbs(ctx, probes)
	if err != nil {
		return 0, err
	}
	y, err := b.LogProbs(ctx, probes)
	if err != nil {
		return 0, err
	}
	largest := 0.0
	for i := range x {
		sum := 0.0
		for j := range x[i] {
			sum += math.Abs(float64(x[i][j] - y[i][j]))
		}
		largest = max(largest, sum/float64(max(len(x[i]), 1)))
	}
	return largest, nil
}
