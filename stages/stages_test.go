package stages_test

import (
	"errors"
	"slices"
	"testing"

	"itool/schemas"
	"itool/stages"
)

// TestReading: Each, Rows and One agree about the same batches, and tell the
// store's errors, which a retry may cure, from batches that never decode.
func TestReading(t *testing.T) {
	store := errors.New("the store does not answer")
	batch := func(ids ...string) schemas.Batch {
		rows := make([]schemas.Score, len(ids))
		for i, id := range ids {
			rows[i].ExampleID = id
		}
		b, err := schemas.Encode(schemas.Header{}, rows)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	junk := batch("x")
	junk.Body = junk.Body[:10]
	for _, c := range []struct {
		name    string
		batches []schemas.Batch
		err     error // after the batches
		want    []string
		fails   bool // Rows and Each
		reject  bool // the error of One
	}{
		{"no batch", nil, nil, nil, false, true},
		{"no row", []schemas.Batch{batch()}, nil, nil, false, true},
		{"one row", []schemas.Batch{batch(), batch("a")}, nil, []string{"a"}, false, false},
		{"two batches", []schemas.Batch{batch("a", "b"), batch("c")}, nil, []string{"a", "b", "c"}, false, true},
		{"the store fails", []schemas.Batch{batch("a")}, store, []string{"a"}, true, false},
		{"junk", []schemas.Batch{batch("a"), junk, batch("b")}, nil, []string{"a"}, true, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			seq := func(yield func(schemas.Batch, error) bool) {
				for _, b := range c.batches {
					if !yield(b, nil) {
						return
					}
				}
				if c.err != nil {
					yield(schemas.Batch{}, c.err)
				}
			}
			var got []string
			var failed error
			for row, err := range stages.Each[schemas.Score](seq) {
				if failed = err; err == nil {
					got = append(got, row.ExampleID)
				}
			}
			if !slices.Equal(got, c.want) || (failed != nil) != c.fails {
				t.Errorf("Each: rows %v, err %v; want %v, failure %v", got, failed, c.want, c.fails)
			}
			rows, err := stages.Rows[schemas.Score](seq)
			if (err != nil) != c.fails || !c.fails && len(rows) != len(c.want) {
				t.Errorf("Rows: %d rows, err %v; want %d, failure %v", len(rows), err, len(c.want), c.fails)
			}
			row, err := stages.One[schemas.Score](seq)
			switch {
			case stages.IsReject(err) != c.reject || c.err != nil && !errors.Is(err, c.err):
				t.Errorf("One: err %v, want a reject: %v, or %v", err, c.reject, c.err)
			case err == nil && row.ExampleID != c.want[0]:
				t.Errorf("One: row %q, want %q", row.ExampleID, c.want[0])
			}
		})
	}
}

// TestConfig: what a section leaves out keeps its default; the rest is checked.
func TestConfig(t *testing.T) {
	for _, c := range []struct {
		section string
		want    float64 // 0: a reject
	}{
		{"", 2}, {"{}", 2}, {`{"by": 4}`, 4}, {`{"by": -1}`, 0}, {`{"bye": 4}`, 0}, {"[]", 0}, {"{", 0},
	} {
		cfg, err := stages.Config(stages.Input{Config: []byte(c.section)}, halveConfig{By: 2})
		if c.want == 0 && !stages.IsReject(err) || c.want != 0 && (err != nil || cfg.By != c.want) {
			t.Errorf("section %q: by %g, err %v; want %g", c.section, cfg.By, err, c.want)
		}
	}
}
