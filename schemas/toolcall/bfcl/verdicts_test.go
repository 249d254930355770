package bfcl_test

import (
	"os"
	"testing"

	"itool/schemas/toolcall/bfcl/bfcltest"
)

// Random answers to made-up questions, with the verdicts of two versions of bfcl-eval (task bfcl-check made them): none
// is judged more kindly, and error names agree but for answers that are refused because the original may read them.
func TestVerdicts(t *testing.T) {
	f, err := os.Open("testdata/verdicts.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := bfcltest.Read(f)
	if err != nil {
		t.Fatal(err)
	}
	unsure := 0
	for i := range all {
		for edition, version := range bfcltest.Editions {
			c, m, err := all[i].Compare(edition)
			switch {
			case err != nil:
				t.Fatal(err)
			case c > bfcltest.Unsure:
				t.Errorf("%s of %s: %q: got %v, bfcl-eval %s has %q", all[i].ID, all[i].Category, all[i].Raw, m,
					version,
					all[i].Errors[edition])
			case c == bfcltest.Unsure:
				unsure++
			}
		}
	}
	if len(all) < 3000 || unsure > len(all)/10 {
		t.Errorf("%d cases, of whose verdicts %d are unsure; want 3000 cases, a twentieth unsure at most",
			len(all), unsure)
	}
	t.Logf("%d cases, %d of %d verdicts unsure", len(all), unsure, 2*len(all))
}
