package job_test

import (
	"errors"
	"log/slog"
	"strings"
	"testing"

	"itool/ops/site"
	"itool/stages/policy"
	"itool/stages/policy/kernel"
	"itool/stages/policy/kernel/cuda"
	"itool/stages/policy/kernel/cuda/cudatest"
)

// TestTooLarge: a run that the memory of a GPU has no room for is refused with the sum before it starts; another
// device fits everything.
func TestTooLarge(t *testing.T) {
	s, err := site.OpenFolder(t.Context(), t.TempDir(), site.AnyPort, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	j := newJob(t, s)
	if err := j.Fits(j.Engine.Device()); err != nil {
		t.Errorf("on a CPU: %v", err)
	}
	driver := cudatest.Open()
	driver.Machine.MaxMemory = 4 << 20
	dev, err := cuda.New(driver)
	if err != nil {
		t.Fatal(err)
	}
	if j.Engine, err = policy.NewEngine(policy.Options{Device: dev}); err != nil {
		t.Fatal(err)
	}
	err = j.Publish(t.Context())
	if failure := (*kernel.Failure)(nil); !errors.As(err, &failure) {
		t.Fatalf("got %v, want a failure", err)
	}
	for _, part := range []string{"run r1: ", "weights ", "KV cache ", "adapters ", "gradients ", "moments ",
		"activations of training ", "are needed", "4.2 MB"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%v: does not say %q", err, part)
		}
	}
	for m, err := range s.Broker.Started(t.Context()) {
		t.Errorf("run %v was started: %v", m, err)
	}
}
