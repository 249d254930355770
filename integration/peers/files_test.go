// Package peers compares the engine with other programs that read the same files: transformers,
// PEFT, tokenizers, llama.cpp and OpenAI's client.
package peers

import (
	"context"
	"encoding/json"
	"io"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"

	"itool/ops/demo"
	"itool/ops/synth"
	"itool/stages/policy"
	"itool/stages/policy/model"
	"itool/stages/policy/model/safetensors"
	"itool/stages/policy/policytest"
	"itool/stages/policy/tokenizer"
)

// TestPeersReadOurFiles: transformers and PEFT load the files that the engine writes, and compute
// the same log-probabilities.
func TestPeersReadOurFiles(t *testing.T) {
	needs(t, "torch, transformers, peft, bitsandbytes")
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
				ours.Model().Merged().Save(in(dir, "half"), safetensors.F16),
				ours.Model().Adapter.Save(in(dir, "adapter")),
				plain.SaveNF4(in(dir, "quantised")),
			} {
				if err != nil {
					t.Fatal(err)
				}
			}
			writeJSON(t, filepath.Join(dir, "asks.json"), g.Examples)
			theirs := map[string][][]float32{}
			run(t, &theirs, "read.py", dir)
			quantised, err := model.Open(os.DirFS(filepath.Join(dir, "quantised")), ours.Model().Device)
			if err != nil {
				t.Fatal(err)
			}
			half, err := model.OpenAs(os.DirFS(filepath.Join(dir, "half")), ours.Model().Device, model.Mapped)
			if err != nil {
				t.Fatal(err)
			}
			for name, p := range map[string]*policy.Policy{
				"half": ours.With(half), "base": ours.With(plain), "adapter": ours, "merged": ours,
				"quantised": ours.With(quantised),
			} {
				for i, e := range g.Examples {
					seq := []policy.Sequence{{Prompt: e.Prompt, Answer: e.Answer}}
					want, err := p.LogProbs(context.Background(), seq)
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

// TestPeersReadOurTokenizer: Hugging Face tokenizers reads the tokenizer that pretrain trained,
// and splits texts into the same tokens.
func TestPeersReadOurTokenizer(t *testing.T) {
	needs(t, "tokenizers")
	tok, err := tokenizer.Open(demo.Base())
	if err != nil {
		t.Fatal(err)
	}
	texts := []string{
		"", "_", "__get_9_", "(_get _x __ _é_日本 _\n_a", "a_b__c___d _ _", "<|end|>a<|user|>",
		"x = 12.5, 'Ωmega'", "\t\u200b_x", "don't  stop",
	}
	c := synth.Default()
	c.Rows = 300
	rows, err := synth.Make(c)
	if err != nil {
		t.Fatal(err)
	}
	for row := range rows {
		texts = append(texts, row.Request(), row.Answer(), string(row.Tools))
	}
	dir := t.TempDir()
	file, err := fs.ReadFile(demo.Base(), tokenizer.File)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, tokenizer.File), file, 0o644); err != nil {
		t.Fatal(err)
	}
	writeJSON(t, filepath.Join(dir, "texts.json"), texts)
	var theirs [][]int32
	run(t, &theirs, "tokens.py", filepath.Join(dir, tokenizer.File), filepath.Join(dir, "texts.json"))
	for i, text := range texts {
		if got := tok.EncodeRendered(text); !slices.Equal(got, theirs[i]) {
			t.Errorf("%q: we say %v, they %v", text, got, theirs[i])
		}
	}
}

// needs skips the test if Python or one of its modules is missing.
func needs(t *testing.T, modules string) {
	t.Helper()
	if out, err := exec.Command("python3", "-c", "import "+modules).CombinedOutput(); err != nil {
		t.Skipf("python3 with %s is missing, install requirements.txt: %v %s", modules, err, lastLine(out))
	}
}

// run runs a script and decodes the JSON that it prints.
func run(t *testing.T, into any, script ...string) {
	t.Helper()
	out, err := exec.Command("python3", script...).Output()
	if err != nil {
		var stderr []byte
		if e, ok := err.(*exec.ExitError); ok {
			stderr = e.Stderr
		}
		t.Fatalf("%s: %v\n%s", script[0], err, stderr)
	}
	if err := json.Unmarshal(out, into); err != nil {
		t.Fatal(err)
	}
}

func writeJSON(t *testing.T, name string, v any) {
	t.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, text, 0o644); err != nil {
		t.Fatal(err)
	}
}

// in returns a function that creates files in a folder.
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
