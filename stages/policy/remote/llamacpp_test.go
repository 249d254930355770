package remote_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"itool/stages/policy"
	"itool/stages/policy/gguf"
	"itool/stages/policy/policytest"
	"itool/stages/policy/remote"
)

// This file asks llama.cpp's real server: that of xllamacpp, a package of the Python index which has it built. The test
// looks for a Python that has the package in ITOOL_LLAMACPP_PYTHON, else in python3, and skips without one.

// server starts llama.cpp's server in Python. It ends when its standard input does.
const server = `
import sys, xllamacpp
p = xllamacpp.CommonParams()
p.model.path, p.port, p.n_parallel, p.n_ctx, p.warmup = sys.argv[1], 0, 4, 0, False
p.cpuparams.n_threads = p.cpuparams_batch.n_threads = 1
s = xllamacpp.Server(p)
print("at", s.listening_address, flush=True)
sys.stdin.read()
`

// llamaServer serves a file until the test ends.
func llamaServer(t *testing.T, file string) string {
	t.Helper()
	python := os.Getenv("ITOOL_LLAMACPP_PYTHON")
	if python == "" {
		python = "python3"
	}
	if err := exec.Command(python, "-c", "import xllamacpp").Run(); err != nil {
		t.Skipf("%s has no xllamacpp (%v): pip install it, and name the Python in ITOOL_LLAMACPP_PYTHON", python, err)
	}
	cmd := exec.CommandContext(t.Context(), python, "-c", server, file)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		ended := make(chan struct{})
		go func() { defer close(ended); _ = cmd.Wait() }()
		select {
		case <-ended:
		case <-time.After(time.Minute):
			_ = cmd.Process.Kill()
			<-ended
		}
		log.Close()
	})
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if address, ok := strings.CutPrefix(lines.Text(), "at "); ok {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return address
		}
	}
	said, _ := os.ReadFile(log.Name())
	t.Fatalf("llama.cpp's server did not start:\n%s", said)
	return ""
}

// gpt2 is the tiny model with a tokenizer that cuts texts as GPT-2's does, which llama.cpp knows.
func gpt2(t *testing.T, seed uint64, more fstest.MapFS) fstest.MapFS {
	t.Helper()
	files := policytest.Tiny(seed).(fstest.MapFS)
	for name, f := range more {
		files[name] = f
	}
	var tok map[string]any
	if err := json.Unmarshal(files["tokenizer.json"].Data, &tok); err != nil {
		t.Fatal(err)
	}
	tok["pre_tokenizer"] = map[string]any{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
		"use_regex": true}
	tok["model"].(map[string]any)["ignore_merges"] = false
	text, err := json.Marshal(tok)
	if err != nil {
		t.Fatal(err)
	}
	files["tokenizer.json"] = &fstest.MapFile{Data: text}
	return files
}

// write writes a policy, its adapter merged, as GGUF.
func write(t *testing.T, files fs.FS) string {
	t.Helper()
	p, err := policy.Open(files, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "policy.gguf")
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(gguf.Write(f, p, gguf.Options{Name: "tiny"}), f.Close()); err != nil {
		t.Fatal(err)
	}
	return file
}

func TestLlamaCPP(t *testing.T) {
	if testing.Short() {
		t.Skip("starts llama.cpp's server, for some seconds; the full test run does it")
	}
	files := gpt2(t, 1, trained(t))
	at := &httptest.Server{URL: llamaServer(t, write(t, files))}
	theirs, err := ask(t, remote.LlamaCPP, files, at)
	if err != nil {
		t.Fatal(err)
	}
	ours, err := policy.Open(files, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	asked := prompts(t, ours)
	greedy, err := ours.Generate(t.Context(), asked, policy.Request{MaxTokens: 12})
	if err != nil {
		t.Fatal(err)
	}
	for _, req := range []policy.Request{{MaxTokens: 12}, {MaxTokens: 12, Temperature: 1, Seed: 1<<32 - 1}} {
		draws, err := theirs.Generate(t.Context(), asked, req)
		if err != nil {
			t.Fatal(err)
		}
		if req.Temperature == 0 && !slices.Equal(draws[0].Tokens, greedy[0].Tokens) { // what the adapter was trained on
			t.Errorf("greedy: %v, want %v", draws[0].Tokens, greedy[0].Tokens)
		}
		for n, d := range draws {
			seq := policy.Sequence{Prompt: asked[n], Answer: d.Tokens}
			scored, err := ours.LogProbs(t.Context(), []policy.Sequence{seq})
			if err != nil {
				t.Fatal(err)
			}
			for i, logp := range d.LogProbs {
				if far := logp - scored[0][i]; far > 0.05 || far < -0.05 { // it rounds to 16 bits
					t.Errorf("token %d of %v: log-probability %v there, %v here", i, d.Tokens, logp, scored[0][i])
				}
			}
		}
	}
	compareScores(t, ours, theirs)
	// The base, and another model, are not what the server has.
	for name, other := range map[string]fs.FS{"the base": gpt2(t, 1, nil), "another model": gpt2(t, 2, nil)} {
		_, err := ask(t, remote.LlamaCPP, other, at)
		var failed *policy.ServerError
		if !errors.As(err, &failed) || !strings.Contains(err.Error(), "another policy") {
			t.Errorf("%s: err = %v", name, err)
		}
	}
}

// compareScores: what llama.cpp cannot do, the policy's own weights do.
func compareScores(t *testing.T, ours, theirs *policy.Policy) {
	t.Helper()
	seq := []policy.Sequence{{Prompt: prompts(t, ours)[1], Answer: ours.Answer("[f(a='x')]")}}
	a, err := ours.LogProbs(t.Context(), seq)
	if err != nil {
		t.Fatal(err)
	}
	b, err := theirs.LogProbs(t.Context(), seq)
	if err != nil || !slices.Equal(a[0], b[0]) {
		t.Errorf("scored %v (%v), want %v", b, err, a)
	}
	s, err := theirs.NewSession(seq[0].Prompt)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Choose(t.Context(), s.Root(), [][]int32{{70}, {71, 72}}, []int32{65, 66}); err != nil {
		t.Error(err)
	}
}
