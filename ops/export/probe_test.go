package export

import (
	"context"
	"strings"
	"testing"

	"itool/stages/policy"
	"itool/stages/policy/policytest"
)

// TestSameAnswers: the comparison accepts a merge of the model itself and refuses another
// model.
func TestSameAnswers(t *testing.T) {
	p, other := policytest.Open(t, 1), policytest.Open(t, 2)
	probes := []policy.Sequence{{Prompt: []int32{1, 2, 3}, Answer: []int32{4, 5}}}
	nats, err := sameAnswers(context.Background(), p, p.With(p.Model().Merged()), probes)
	if err != nil || nats > 1e-6 {
		t.Errorf("itself: %v, %v", nats, err)
	}
	_, err = sameAnswers(context.Background(), p, p.With(other.Model()), probes)
	if err == nil || !strings.Contains(err.Error(), "nothing was written") {
		t.Errorf("another model: got %v", err)
	}
}
