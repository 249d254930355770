package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"itool/ops/export"
	"itool/stages/policy"
	"itool/stages/policy/gguf"
	"itool/stages/policy/policytest"
	"itool/stages/policy/tokenizer"
)

// writeGGUF writes the tiny model as one file, with a pattern that GGUF has a name for.
func writeGGUF(t *testing.T, dir string) string {
	t.Helper()
	quoted := func(s string) []byte {
		text, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	base := writeBase(t, filepath.Join(dir, "folder"), func(name string, data []byte) []byte {
		if name != tokenizer.File {
			return data
		}
		return bytes.Replace(data, quoted(tokenizer.Pattern), quoted(tokenizer.Qwen), 1)
	})
	p, err := policy.Open(os.DirFS(base), policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "model.gguf")
	out, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(gguf.Write(out, p, gguf.Options{Name: "tiny"}), out.Close()); err != nil {
		t.Fatal(err)
	}
	return name
}

// TestImport: a GGUF file becomes a folder like any other, and what was done is said; what cannot become
// one leaves nothing.
func TestImport(t *testing.T) {
	dir := t.TempDir()
	file := writeGGUF(t, dir)
	out, _ := expect(t, dir, 0, `model: "tiny", llama, 0.02`, "import", file, "--out", "model")
	for _, want := range []string{
		"weights: F32 (", " in 1 file\n", "texts cut as in qwen2\n", "chat template: the file's, ",
		"tried: it opens, renders a message and scores an answer; now: itool serve --model model\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the output lacks %q:\n%s", want, out)
		}
	}
	p, err := policy.Open(os.DirFS(filepath.Join(dir, "model")), policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if p.Model().BaseDigest() != policytest.Open(t, 1).Model().BaseDigest() {
		t.Error("other weights")
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{file, "--out", "model"}, exitError, "model is there already"},
		{[]string{"nosuch.gguf", "--out", "m"}, exitUsage, "nosuch.gguf"},
		{[]string{"folder/base/config.json", "--out", "m"}, exitError, "does not begin with GGUF"},
		{[]string{file, "--out", "m", "--template", "folder/base/config.json"}, exitError, "another with --template"},
		{[]string{file, "--out", "m", "--dtype", "f16"}, exitUsage, "--dtype"},
	} {
		expect(t, dir, c.code, c.want, append([]string{"import"}, c.args...)...)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "[.m]*")); err != nil || len(left) != 2 {
		t.Errorf("want model and model.gguf alone: %v, %v", left, err)
	}
}

// TestBase: a run takes a GGUF file or another run as its base; a name that is neither is refused with
// how to fetch it.
func TestBase(t *testing.T) {
	if testing.Short() {
		t.Skip("runs whole lines in processes of their own")
	}
	dir := t.TempDir()
	t.Setenv("ITOOL_CACHE", filepath.Join(dir, "cache"))
	file, model := writeRows(t, dir, 40), writeGGUF(t, dir)
	run := func(name, base string, more ...string) []string {
		args := []string{"run", file, "--base", base, "--name", name, "--json", "--set", "warmup.rate=1e-2"}
		return slices.Concat(args, small, more)
	}
	_, errs := expect(t, dir, 0, `"status":"done"`, run("r1", model)...)
	if !strings.Contains(errs, "model.gguf is imported: llama, ") {
		t.Errorf("nothing says what was imported:\n%s", errs)
	}
	// The run is found again by the same command, whose base is there already.
	if _, errs := expect(t, dir, 0, `"status":"done"`, run("r1", model)...); strings.Contains(errs, "is imported") {
		t.Errorf("imported again:\n%s", errs)
	}
	expect(t, dir, 0, "merged model in whole", "export", "r1", "--round", "0", "--merged", "--out", "whole")
	exports(t, dir, model)
	_, errs = expect(t, dir, 0, `"status":"done"`, run("r2", "r1@0", "--set", "line.rounds=0")...)
	if !strings.Contains(errs, "the base is run r1's warm-up (policy ") {
		t.Errorf("nothing says which policy is the base:\n%s", errs)
	}
	made, err := filepath.Glob(filepath.Join(dir, "cache", "policies-v1", "*"))
	if err != nil || len(made) != 1 {
		t.Fatalf("made %v, %v", made, err)
	}
	digests := map[string]bool{}
	for _, folder := range []string{made[0], filepath.Join(dir, "whole")} {
		p, err := policy.Open(os.DirFS(folder), policy.Options{})
		if err != nil {
			t.Fatal(err)
		}
		digests[p.Model().BaseDigest()] = true
	}
	if len(digests) != 1 {
		t.Error("the base of r2 is not what export merges")
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{run("r3", "Qwen/Qwen3-0.6B"), exitUsage, "--base Qwen/Qwen3-0.6B: no such folder, file or run is here, and " +
			"itool downloads nothing; fetch it first, as with hf download Qwen/Qwen3-0.6B"},
		{run("r3", "r1@7"), exitError, "--base r1@7: run r1 has no such policy yet"},
		{run("r3", "nosuch"), exitUsage, "the runs here are r1, r2"},
		{run("r3", file), exitError, "no GGUF file: name the folder"},
		{run("r3", dir), exitError, "lacks config.json, tokenizer.json, model.safetensors"},
		{[]string{"quantize", "--model", model, "--out", "four"}, 0, "4.127 bits"},
		{[]string{"serve", "--model", "org/model"}, exitUsage, "hf download org/model"},
		{run("r4", "itool-runs/r1@-1", "--set", "line.rounds=0"), 0, "the base is run r1's base (policy "},
	} {
		expect(t, dir, c.code, c.want, c.args...)
	}
	if exists(filepath.Join(dir, "itool-runs", "r3")) {
		t.Error("a run that was refused left a folder")
	}
}

// exports checks what other programs get of run r1, whose base is a GGUF file: the name of the base, a model card,
// and a Modelfile that names the exported file.
func exports(t *testing.T, dir, model string) {
	t.Helper()
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	has := func(name string, texts ...string) {
		t.Helper()
		for _, text := range texts {
			if got := read(name); !strings.Contains(got, text) {
				t.Errorf("%s lacks %q:\n%s", name, text, got)
			}
		}
	}
	has("itool-runs/r1/adapter/adapter_config.json", `"base_model_name_or_path": "`+model+`"`)
	has("itool-runs/r1/adapter/README.md", "library_name: peft", "| base | "+model+" |",
		"| warm-up |", "| line.rounds | 1 |")
	has("whole/README.md", "library_name: transformers")
	expect(t, dir, 0, "adapter in named", "export", "r1", "--out", "named", "--base-name", "org/model")
	has("named/adapter_config.json", `"base_model_name_or_path": "org/model"`)
	has("named/README.md", "base_model: \"org/model\"\n")
	bases, err := filepath.Glob(filepath.Join(dir, "cache", "gguf-v1", "*"))
	if err != nil || len(bases) != 1 {
		t.Fatalf("imported bases: %v, %v", bases, err)
	}
	with := export.WithAdapter(os.DirFS(bases[0]), os.DirFS(filepath.Join(dir, "named")))
	if _, err := policy.Open(with, policy.Options{}); err != nil {
		t.Errorf("the adapter with the name of its base does not open: %v", err)
	}
	gguf := []string{"export", "r1", "--round", "0", "--merged", "--gguf", "--out", "out.gguf"}
	expect(t, dir, 0, "for Ollama: ollama create NAME -f out.Modelfile", gguf...)
	has("out.Modelfile", "FROM \"./out.gguf\"", "TEMPLATE \"\"\"", `PARAMETER stop "<|end|>"`)
	if err := os.Remove(filepath.Join(dir, "out.gguf")); err != nil {
		t.Fatal(err)
	}
	expect(t, dir, exitError, "out.Modelfile is there already", gguf...)
}
