// Package peers compares the engine with the programs that its users come from.
package peers

import (
	"context"
	"encoding/json"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"itool/stages/policy"
	"itool/stages/policy/model/safetensors"
	"itool/stages/policy/policytest"
)

// TestPeersReadOurFiles: transformers and PEFT load what the engine writes, and say
// what the engine says.
func TestPeersReadOurFiles(t *testing.T) {
	if out, err := exec.Command("python3", "-c", "import torch, transformers, peft").CombinedOutput(); err != nil {
		t.Skipf("python3 with torch, transformers and peft (requirements.txt) is not here: %v %s", err, lastLine(out))
	}
	for _, g := range policytest.Goldens(t) {
		t.Run(g.Name, func(t *testing.T) {
			ours, err := policy.Open(g.Folder(true), policy.Options{})
			if err != nil {
				t.Fatal(err)
			}
			plain, err := ours.Model().WithAdapter(nil)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			for _, err := range []error{
				plain.Save(in(dir, "base"), safetensors.F32),
				ours.Model().Merged().Save(in(dir, "merged"), safetensors.F32),
				ours.Model().Adapter.Save(in(dir, "adapter")),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
			asks, err := json.Marshal(g.Examples)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "asks.json"), asks, 0o644); err != nil {
				t.Fatal(err)
			}
			theirs := map[string][][]float32{}
			out, err := exec.Command("python3", "read.py", dir).Output()
			if err != nil {
				stderr := []byte(nil)
				if e, ok := err.(*exec.ExitError); ok {
					stderr = e.Stderr
				}
				t.Fatalf("read.py: %v\n%s", err, stderr)
			}
			if err := json.Unmarshal(out, &theirs); err != nil {
				t.Fatal(err)
			}
			for name, p := range map[string]*policy.Policy{"base": ours.With(plain), "adapter": ours, "merged": ours} {
				for i, e := range g.Examples {
					want, err := p.LogProbs(context.Background(), []policy.Sequence{{Prompt: e.Prompt, Answer: e.Answer}})
					if err != nil {
						t.Fatal(err)
					}
					if len(theirs[name]) != len(g.Examples) || len(theirs[name][i]) != len(want[0]) {
						t.Fatalf("%s: read.py answers %v", name, theirs[name])
					}
					for j, w := range want[0] {
						if got := theirs[name][i][j]; math.Abs(float64(got-w)) > 2e-5*(1+math.Abs(float64(w))) {
							t.Errorf("%s: example %d, token %d: they say %v, we %v", name, i, j, got, w)
						}
					}
				}
			}
		})
	}
}

// in creates files in a folder.
func in(dir, name string) func(string) (io.WriteCloser, error) {
	return func(file string) (io.WriteCloser, error) {
		folder := filepath.Join(dir, name)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return nil, err
		}
		return os.Create(filepath.Join(folder, file))
	}
}

func lastLine(out []byte) []byte {
	for i := len(out) - 2; i >= 0; i-- {
		if out[i] == '\n' {
			return out[i+1 : len(out)-1]
		}
	}
	return out
}
