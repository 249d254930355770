package starter_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"itool/ops/config"
	"itool/ops/starter"
	"itool/stages/policy/kernel"
	"itool/stages/policy/kernel/ref"
)

// quick is a device whose products take no time: what they give is not looked at.
type quick struct{ kernel.Device }

func (quick) MatMul(kernel.Floats, kernel.Floats, kernel.Matrix, int, bool) {}

// tick is a clock that goes on by a second with every look.
func tick() func() time.Time {
	at := time.Unix(0, 0)
	return func() time.Time { at = at.Add(time.Second); return at }
}

// TestWrite: every file is a configuration that a run accepts, names the model, and has a reason for each setting.
func TestWrite(t *testing.T) {
	at := starter.Machine{Device: quick{ref.New()}, Now: tick()}
	for i, name := range starter.Names() {
		var b strings.Builder
		if i > 0 {
			at = starter.Machine{} // one measurement will do
		}
		if err := starter.Write(&b, name, "itool.yaml", at); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		file := filepath.Join(t.TempDir(), "itool.yaml")
		if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
			t.Fatal(err)
		}
		cfg, err := config.Load(config.Default(), file, nil)
		if err != nil {
			t.Fatalf("%s: %v\n%s", name, err, b.String())
		}
		if cfg.Split.TestShare != 0.2 || cfg.Select.MaxTrees == 0 || cfg.Expand.Leaves != 4 {
			t.Errorf("%s: %+v", name, cfg.Split)
		}
		if timed := strings.Contains(b.String(), "# Time on this machine (ref): roughly "); timed != (i == 0) {
			t.Errorf("%s: a time: %v", name, timed)
		}
		before := ""
		for line := range strings.Lines(b.String()) {
			if value, ok := strings.CutPrefix(line, "  "); ok && !strings.HasPrefix(value, "#") &&
				!strings.HasPrefix(strings.TrimSpace(before), "#") {
				t.Errorf("%s: no reason for %q", name, value)
			}
			before = line
		}
	}
}

// TestModels: the shapes have the numbers of parameters that their makers publish, in billions.
func TestModels(t *testing.T) {
	for name, want := range map[string]string{
		"smollm2-135m": "0.13", "SmolLM2-360M-Instruct": "0.36", "smollm2-1.7b": "1.71", "smollm3-3b": "3.08",
		"Qwen/Qwen2.5-0.5B-Instruct": "0.49", "qwen2.5-1.5b": "1.54", "qwen2.5-3b": "3.09", "qwen2.5-7b": "7.62",
		"qwen3-0.6b": "0.60", "qwen3-1.7b": "1.72", "qwen3-4b": "4.02", "qwen3-8b": "8.19", "llama-3.2-1b": "1.24",
		"llama-3.2-3b": "3.21", "meta-llama/Llama-3.1-8B-Instruct": "8.03",
	} {
		var b strings.Builder
		if err := starter.Write(&b, name, "x", starter.Machine{}); err != nil {
			t.Fatal(err)
		}
		if first, _, _ := strings.Cut(b.String(), "\n"); !strings.Contains(first, ", "+want+" billion parameters") {
			t.Errorf("%s: want %s billion in %q", name, want, first)
		}
	}
}

// TestUnknown: an unknown name lists those that are known.
func TestUnknown(t *testing.T) {
	var b strings.Builder
	err := starter.Write(&b, "gpt-5", "x", starter.Machine{})
	var unknown *starter.UnknownError
	if !errors.As(err, &unknown) || b.Len() > 0 || !strings.Contains(err.Error(), "llama-3.1-8b") {
		t.Errorf("%v, wrote %q", err, b.String())
	}
}
