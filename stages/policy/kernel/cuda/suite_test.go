package cuda_test

import (
	"testing"

	"itool/stages/policy/kernel/cuda"
	"itool/stages/policy/kernel/kerneltest"
	"itool/stages/policy/kernel/ref"
)

// TestSuite runs the checks of every device on the kernels, in the interpreter. Attention rounds
// probabilities relative to the largest score so far, along paths also queries and keys; the gradient of a
// logit is rounded after it is normalised.
func TestSuite(t *testing.T) {
	kerneltest.RunBF16Checks(t, newDevice(t), ref.New(), map[string]float64{
		"attention": attentionTolerance, "attention backward": attentionTolerance, "attend suffix": attentionTolerance,
		"attend paths": 5e-2, "logprobs grad": headTolerance, "logprobs backward": headTolerance})
}

// newDevice is a device in the interpreter, or on a GPU if the tests are built for one.
func newDevice(t testing.TB) *cuda.Device {
	t.Helper()
	dev, err := cuda.New(openDriver(t))
	if err != nil {
		t.Fatal(err)
	}
	return dev
}
