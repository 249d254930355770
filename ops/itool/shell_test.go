package main

import (
	"os/exec"
	"testing"
)

// TestShellLine: a shell reads the words back as they were.
func TestShellLine(t *testing.T) {
	words := []string{
		"itool", "run", "my data.json", "--set", `split.test_files=["it's.jsonl"]`, "$HOME", "`date`", "", "a=b",
	}
	line := shellLine(words...)
	const want = `itool run 'my data.json' --set 'split.test_files=["it'\''s.jsonl"]' '$HOME' '` + "`date`" + `' '' a=b`
	if line != want {
		t.Errorf("got  %s\nwant %s", line, want)
	}
	shell, err := exec.LookPath("sh")
	if err != nil {
		t.Skip("no sh here to read it")
	}
	out, err := exec.Command(shell, "-c", "for w in "+line+`; do printf '%s|' "$w"; done`).Output()
	var read string
	for _, w := range words {
		read += w + "|"
	}
	if err != nil || string(out) != read {
		t.Errorf("sh reads %q, %v, want %q", out, err, read)
	}
}
