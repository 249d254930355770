package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestEval judges answers that are there, compares two folders, and refuses what does not go together.
func TestEval(t *testing.T) {
	if testing.Short() {
		t.Skip("runs commands as processes, for half a minute; the full test run does it")
	}
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	bench := write("waves.jsonl", `{"messages": [{"role": "user", "content": "Wave twice."}, {"role": "assistant", `+
		`"content": "[wave(times=2)]"}], "tools": [{"name": "wave", "parameters": {"type": "object", "properties": `+
		`{"times": {"type": "integer"}}}}]}`+"\n")
	good := filepath.Dir(write("good/waves_result.json", `{"id": "0-0", "result": "[wave(times=2)]"}`))
	poor := filepath.Dir(write("poor/waves_result.json", `{"id": "0-0", "result": "[wave(times=3)]"}`))
	foreign := filepath.Dir(write("foreign/other_result.json", `{"id": "0-0", "result": ""}`))
	noTools := writeBase(t, filepath.Join(dir, "1"), toolless)
	noFormat := writeBase(t, filepath.Join(dir, "2"), func(name string, data []byte) []byte {
		return bytes.Replace(toolless(name, data), []byte("{% for"), []byte("{% if tools %}<|system|>"+
			"{{ tools | tojson }} Call them behind [TOOL_CALLS].<|end|>{% endif %}{% for"), 1)
	})
	for _, c := range []struct {
		args string
		code int
		want []string
	}{
		{"--answers " + good + " --against " + poor, 0, []string{"100.0 %", "won 1, lost 0", "parameter value"}},
		{"--answers " + good + " --json", 0, []string{`"pass":true`, `"answer":"[wave(times=2)]"`}},
		{"--answers " + foreign, 1, []string{"answers none of these questions"}},
		{"--answers " + good + " --against " + foreign, 1, []string{"--against", "answers none"}},
		{"", exitUsage, []string{"say what answers: one of --model"}},
		{"--answers " + good + " --run x", exitUsage, []string{"say what answers: one of --model"}},
		{"--model " + noTools, exitUsage, []string{"leaves out tools: --tools-in system writes them"}},
		{"--model " + noTools + " --tools-in system --max-tokens 4", 0, []string{"0.0 %"}},
		{"--model " + noFormat, exitUsage, []string{`calls behind "[TOOL_CALLS]"`, "here --calls names the format"}},
		{"--model " + noFormat + " --calls hermes --max-tokens 4 --out hermes", 0, []string{"0.0 %"}},
		{"--endpoint http://127.0.0.1:1/v1", exitUsage, []string{"--endpoint-model is missing"}},
		{"--endpoint 127.0.0.1 --endpoint-model m", exitUsage, []string{"--endpoint: ", "want http://"}},
		{"--answers " + good + " --bench bfcl", exitUsage, []string{"say with --data where the benchmark lies"}},
		{"--answers " + good + " --bench apibank", exitUsage, []string{"the folder api-bank of github.com"}},
		{"--answers " + good + " --bench apibank --bench bfcl", exitUsage, []string{"run them one after the other"}},
		{"--answers " + good + " --bench apibank --data " + dir, 1, []string{"give the folder api-bank of"}},
		{"--answers " + good + " --bench bfcl --data " + dir, 1, []string{"holds no BFCL_v3_*.json"}},
	} {
		args := append([]string{"eval", "--bench", bench}, strings.Fields(c.args)...)
		code, out, errs := itool(t, dir, args...)
		if code != c.code {
			t.Errorf("eval %s: exit code %d, want %d: %s", c.args, code, c.code, errs)
		}
		for _, s := range c.want {
			if !strings.Contains(out+errs, s) {
				t.Errorf("eval %s: lacks %q:\n%s%s", c.args, s, out, errs)
			}
		}
	}
}
