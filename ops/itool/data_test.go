package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestData: what itool data says of a file, with the base that a run would get, as text and
// as JSON; and what it refuses.
func TestData(t *testing.T) {
	if testing.Short() {
		t.Skip("runs commands as processes, for half a minute; the full test run does it")
	}
	dir := t.TempDir()
	base := writeBase(t, dir, nil)
	row := `{"messages": [{"role": "user", "content": "Is it raining in Bern?"}, {"role": "assistant", "content": ` +
		`"[weather(city=3)]"}], "tools": [{"name": "weather", "parameters": {"type": "object", "properties": ` +
		`{"city": {"type": "string"}}}}]}`
	file := writeRows(t, dir, 5, row, row, "{]")
	out, _ := expect(t, dir, 0, "data.jsonl: openai, JSON lines, 8 rows",
		"data", file, "--base", base, "--against", file,
		"--prompts", "1")
	for _, want := range []string{
		"dropped 1: bad row", "row 7 (line 8): byte 2: invalid character", "tokens: ", "prompts by tokens", "tools: ",
		`"city" is of kind int, its type is string`, "overlap with data.jsonl: ", "⟦[", "⟧",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("the text lacks %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "\x1b") {
		t.Error("there are colours in what is no terminal")
	}
	code, out, errs := itool(t, dir, "data", file, "--json")
	var s struct {
		Rows     int
		Examples struct {
			Tokens  int64
			Dropped map[string]struct{ N int }
		}
		Duplicates struct{ Exact int }
	}
	if err := json.Unmarshal([]byte(out), &s); code != 0 || err != nil {
		t.Fatalf("exit code %d, %v\n%s%s", code, err, out, errs)
	}
	if s.Rows != 8 || s.Examples.Tokens == 0 || s.Examples.Dropped["bad_row"].N != 1 {
		t.Errorf("%+v", s)
	}
	base = writeBase(t, t.TempDir(), toolless)
	expect(t, dir, exitError, "leaves out tools: --set split.tools_in=system", "data", file, "--base", base)
	out, _ = expect(t, dir, 0, "<tool_call>", "data", file, "--base", base, "--set", "split.tools_in=system")
	if !strings.Contains(out, "<tools>") {
		t.Errorf("the prompts lack the tools:\n%s", out)
	}
	cut := filepath.Join(dir, "cut.parquet")
	if err := os.WriteFile(cut, []byte("PAR1 and no more"), 0o600); err != nil {
		t.Fatal(err)
	}
	expect(t, dir, exitError, "cut.parquet: the Parquet file has no footer", "data", cut)
	expect(t, dir, exitError, "it is a folder", "data", dir)
	expect(t, dir, exitUsage, "nosuch", "data", "nosuch")
	expect(t, dir, exitError, `split.test_files: no published file is named "tset.jsonl"`, "data", file,
		"--set", `split.test_files=["tset.jsonl"]`)
}
