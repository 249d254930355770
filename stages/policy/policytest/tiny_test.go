package policytest_test

import (
	"bytes"
	"testing"
	"testing/fstest"

	"itool/stages/policy/policytest"
)

func TestTiny(t *testing.T) {
	tiny := func(seed uint64) fstest.MapFS { return policytest.Tiny(seed).(fstest.MapFS) }
	a, again, other := tiny(1), tiny(1), tiny(2)
	for name, f := range a {
		if !bytes.Equal(f.Data, again[name].Data) {
			t.Errorf("%s: the same seed gives other bytes", name)
		}
	}
	const weights = "model.safetensors"
	if len(a[weights].Data) == 0 || bytes.Equal(a[weights].Data, other[weights].Data) {
		t.Error("another seed gives the same weights, or there are none")
	}
	if p := policytest.Open(t, 1); p.ContextLength() != policytest.ContextLength {
		t.Errorf("context of %d", p.ContextLength())
	}
}
