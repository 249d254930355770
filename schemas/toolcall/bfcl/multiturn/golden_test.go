package multiturn_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"testing"
	"time"

	"itool/schemas/toolcall/bfcl/multiturn"
	"itool/schemas/toolcall/bfcl/multiturn/sim"
	"itool/schemas/toolcall/toolcalltest"
)

// madeOn is the day on which the golden files were made.
var madeOn = time.Date(2026, 11, 29, 0, 0, 0, 0, time.UTC)

// extension reads the texts of long contexts.
func extension(t testing.TB) *sim.Extension {
	t.Helper()
	ext, err := sim.ReadExtension(toolcalltest.Open(t, "bfcl_multi_turn/long_context_data.json"))
	if err != nil {
		t.Fatal(err)
	}
	return ext
}

func options(t testing.TB) multiturn.Options {
	return multiturn.Options{Extension: extension(t), Today: madeOn}
}

// entries reads all entries with their answers, by ID.
func entries(t testing.TB) map[string]*multiturn.Entry {
	t.Helper()
	all := map[string]*multiturn.Entry{}
	for _, category := range multiturn.Categories {
		answers := map[string]json.RawMessage{}
		each(t, "bfcl_v3/possible_answer/BFCL_v3_"+category+".json", func(id string, row json.RawMessage) {
			answers[id] = row
		})
		each(t, "bfcl_v3/BFCL_v3_"+category+".json", func(id string, row json.RawMessage) {
			e, err := multiturn.ReadEntry(row, answers[id])
			if err != nil {
				t.Fatal(err)
			}
			all[id] = e
		})
	}
	if len(all) != 800 {
		t.Fatalf("%d entries, want 800", len(all))
	}
	return all
}

func each(t testing.TB, file string, visit func(id string, row json.RawMessage)) {
	t.Helper()
	dec := json.NewDecoder(toolcalltest.Open(t, file))
	for {
		var row json.RawMessage
		err := dec.Decode(&row)
		if errors.Is(err, io.EOF) {
			return
		}
		var id struct{ ID string }
		if err == nil {
			err = json.Unmarshal(row, &id)
		}
		if err != nil {
			t.Fatal(err)
		}
		visit(id.ID, bytes.Clone(row))
	}
}

type golden struct {
	ID, Variant, Detail string
	Turns               [][]string
	Steps               [][]string
	Decoded             [][][]string
	Valid               bool
	Fault               string `json:"error_type"`
	Kind                string `json:"message_kind"`
	FailTurn            *int   `json:"fail_turn"`
}

// TestVerdicts compares with the verdicts of the original checker.
func TestVerdicts(t *testing.T) {
	all, o := entries(t), options(t)
	rows, same, decoded, steps := 0, 0, 0, 0
	each(t, "bfcl_multi_turn/multi_turn.a.jsonl", func(id string, row json.RawMessage) {
		var g golden
		if err := json.Unmarshal(row, &g); err != nil {
			t.Fatal(err)
		}
		rows++
		v, err := multiturn.Check(all[id], g.Turns, o)
		if err != nil {
			t.Fatal(err)
		}
		turn := -1
		if g.FailTurn != nil {
			turn = *g.FailTurn
		}
		if v.Valid == g.Valid && v.Fault == g.Fault && v.Detail() == g.Kind && v.Turn == turn {
			same++
		} else {
			t.Errorf("%s %s %s: valid %v %s %s in turn %d, the original has %v %s %s in turn %d",
				id, g.Variant, g.Detail, v.Valid, v.Fault, v.Detail(), v.Turn, g.Valid, g.Fault, g.Kind, turn)
		}
		for i, turn := range g.Turns {
			kept := g.Decoded[i] // of the steps that are ok
			for j, raw := range turn {
				steps++
				got, err := multiturn.Decode(raw)
				var want []string
				if g.Steps[i][j] == "ok" {
					want, kept = kept[0], kept[1:]
				}
				if (err != nil) == (g.Steps[i][j] == "fail") && slices.Equal(got, want) {
					decoded++
				} else {
					t.Errorf("%s %s %s: %q decodes to %q, %v; the original has %s %q",
						id, g.Variant, g.Detail, raw, got, err, g.Steps[i][j], want)
				}
			}
		}
	})
	t.Logf("%d of %d verdicts and %d of %d decoded steps are equal", same, rows, decoded, steps)
}
