package results

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestWrite: a section is replaced, the others stay, and their order is that of Sections.
func TestWrite(t *testing.T) {
	file := filepath.Join(t.TempDir(), "RESULTS.md")
	t.Setenv(Variable, file)
	last, first := Sections[2], Sections[0]
	for _, w := range []struct{ section, text string }{
		{last, Table([]string{"a", "b"}, []string{"1", "2"})}, {first, "old"}, {first, "new\n\n### a part\n"},
	} {
		if err := Begin(w.section).Write(w.text); err != nil {
			t.Fatal(err)
		}
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	got := string(text)
	i, j := strings.Index(got, "## "+first), strings.Index(got, "## "+last)
	if i < 0 || j < i || strings.Contains(got, "old") || !strings.Contains(got[i:j], "new\n\n### a part") ||
		!strings.Contains(got[j:], "| a | b |\n|---|---|\n| 1 | 2 |\n") || strings.Count(got, "# Results") != 1 {
		t.Errorf("got\n%s", got)
	}
	if err := Begin("no such section").Write("x"); err == nil {
		t.Error("a section that is not in the list was written")
	}
}

// TestNotWanted: an ordinary test run writes nothing.
func TestNotWanted(t *testing.T) {
	t.Setenv(Variable, "")
	if err := Begin(Sections[0]).Write("x"); err != nil || Wanted() {
		t.Errorf("%v, wanted: %t", err, Wanted())
	}
}
