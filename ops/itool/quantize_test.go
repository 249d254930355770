package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"itool/stages/policy/model/safetensors"
)

// TestQuantize: a base in four bits is a base like any other; its adapter merges into
// what the bits stand for, and into the base that they were made of, but not into another.
func TestQuantize(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a whole line in processes of its own")
	}
	dir := t.TempDir()
	file, base := writeRows(t, dir, 40), writeBF16(t, dir)
	if code, out, errs := itool(t, dir, "quantize", "--model", base, "--out", "four"); code != 0 || !strings.Contains(out, "4.127 bits") {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	var config struct {
		Q map[string]any `json:"quantization_config"`
	}
	text, err := os.ReadFile(filepath.Join(dir, "four", "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &config); err != nil || config.Q["bnb_4bit_quant_type"] != "nf4" {
		t.Errorf("config.json: %v\n%s", err, text)
	}
	for _, part := range []string{"tokenizer.json", "chat_template.jinja"} {
		if !exists(filepath.Join(dir, "four", part)) {
			t.Errorf("%s is missing", part)
		}
	}
	args := append([]string{"run", file, "--base", "four", "--name", "q1", "--json", "--set", "line.rounds=1"}, small...)
	code, out, errs := itool(t, dir, args...)
	if code != 0 || summary(t, out).Status != "done" {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	strange := filepath.Join(dir, "strange")
	if err := os.CopyFS(strange, os.DirFS(base)); err != nil {
		t.Fatal(err)
	}
	turnWeights(t, filepath.Join(strange, "model.safetensors"))
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"quantize", "--model", "four", "--out", "two"}, exitError, "quantised already"},
		{[]string{"quantize", "--model", base, "--out", "four"}, exitError, "there already"},
		{[]string{"export", "q1", "--base", base, "--out", "x"}, exitUsage, "--merged"},
		{[]string{"export", "q1", "--merged", "--out", "dequantised"}, 0, "merged model in dequantised"},
		{[]string{"export", "q1", "--merged", "--base", base, "--out", "sixteen"}, 0, " nats per token of base + adapter on 8 examples\non the base of the run itself"},
		{[]string{"export", "q1", "--merged", "--gguf", "--out", "g.gguf"}, exitError, "export a folder (without --gguf)"},
		{[]string{"export", "q1", "--merged", "--base", "strange", "--out", "y"}, exitError, "another model"},
		{[]string{"run", file, "--base", "dequantised", "--name", "again", "--dir", "r2", "--set", "line.rounds=0", "--set", "line.evaluate_rows=4"}, 0, ""},
	} {
		code, out, errs := itool(t, dir, c.args...)
		if code != c.code || !strings.Contains(out+errs, c.want) {
			t.Errorf("itool %s: exit code %d, want %d and %q\n%s%s", strings.Join(c.args, " "), code, c.code, c.want, out, errs)
		}
	}
	for _, merged := range []string{"dequantised", "sixteen"} {
		f, err := safetensors.Read(os.DirFS(filepath.Join(dir, merged)), "model.safetensors")
		if err != nil {
			t.Fatal(err)
		}
		if got := f.Dtype("model.layers.0.self_attn.q_proj.weight"); got != safetensors.BF16 {
			t.Errorf("%s is in %s", merged, got)
		}
	}
	for _, left := range []string{"y", "g.gguf"} {
		if exists(filepath.Join(dir, left)) {
			t.Errorf("a refused export left %s", left)
		}
	}
}

// turnWeights flips the sign of the last quarter of a bf16 file's weights.
func turnWeights(t *testing.T, name string) {
	t.Helper()
	raw, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	for i := len(raw) - len(raw)/4/2*2 + 1; i < len(raw); i += 2 {
		raw[i] ^= 0x80
	}
	if err := os.WriteFile(name, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}
