package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"itool/stages/policy/model/safetensors"
)

// TestQuantize: a base in four bits trains like any other base. Its adapter merges into the
// dequantized base and into the base that was quantized, but not into another model.
func TestQuantize(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a whole line in processes of its own")
	}
	dir := t.TempDir()
	file, base := writeRows(t, dir, 40), writeBF16(t, dir)
	expect(t, dir, 0, "4.127 bits", "quantize", "--model", base, "--out", "four")
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
	args := []string{"run", file, "--base", "four", "--name", "q1", "--json", "--set", "line.rounds=1"}
	code, out, errs := itool(t, dir, append(args, small...)...)
	if code != 0 || summary(t, out).Status != "done" {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	other := filepath.Join(dir, "other")
	if err := os.CopyFS(other, os.DirFS(base)); err != nil {
		t.Fatal(err)
	}
	flipSigns(t, filepath.Join(other, "model.safetensors"))
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"quantize", "--model", "four", "--out", "two"}, exitError, "quantized already"},
		{[]string{"quantize", "--model", base, "--out", "four"}, exitError, "there already"},
		{[]string{"export", "q1", "--base", base, "--out", "x"}, exitUsage, "--merged"},
		{[]string{"export", "q1", "--merged", "--out", "dequantised"}, 0, "merged model in dequantised"},
		{
			[]string{"export", "q1", "--merged", "--base", base, "--out", "sixteen"}, 0,
			" nats per token of base + adapter on 8 examples\non the base of the run itself",
		},
		{
			[]string{"export", "q1", "--merged", "--gguf", "--out", "g.gguf"}, exitError,
			"export a folder (without --gguf)",
		},
		{[]string{"export", "q1", "--merged", "--base", "other", "--out", "y"}, exitError, "another model"},
		{[]string{"run", file, "--base", "dequantised", "--name", "again", "--dir", "r2",
			"--set", "line.rounds=0", "--set", "line.evaluate_rows=4"}, 0, ""},
	} {
		expect(t, dir, c.code, c.want, c.args...)
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

// flipSigns flips the sign of the last quarter of a bf16 file's weights.
func flipSigns(t *testing.T, name string) {
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
