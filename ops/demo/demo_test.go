package demo_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io/fs"
	"reflect"
	"slices"
	"testing"
	"time"

	"itool/ops/demo"
	"itool/ops/pretrain"
	"itool/ops/synth"
	"itool/stages/policy"
)

func rows(t *testing.T, quick bool, file string) []synth.Row {
	t.Helper()
	data, err := demo.Dataset(quick)
	if err != nil {
		t.Fatal(err)
	}
	var out []synth.Row
	i := slices.IndexFunc(data, func(f demo.File) bool { return f.Name == file })
	for d := json.NewDecoder(bytes.NewReader(data[i].Data)); d.More(); {
		var r synth.Row
		if err := d.Decode(&r); err != nil {
			t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

// TestBase: the base answers new requests in the right form and is sometimes right. A base
// that is always or never right would leave the demo nothing to show.
func TestBase(t *testing.T) {
	p, err := policy.Open(demo.Base(), policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	e, err := pretrain.Examine(context.Background(), p, rows(t, true, demo.TestFile)[:150], 1, time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("parsed %.2f, exact %.2f, pass@4 %.2f, prose %.2f, %.0f tokens/s",
		e.Parsed, e.Exact, e.PassAt4, e.Prose, e.TokensPerSec)
	if e.Parsed < 0.8 {
		t.Errorf("%.2f of the answers can be read as calls, want at least 0.80", e.Parsed)
	}
	recall, err := pretrain.Recall(context.Background(), p, 100, 8, 3, 2, pretrain.Folds)
	if err != nil || recall < 0.9 {
		t.Errorf("recalls %.2f of unseen values, %v, want at least 0.90 (0.95, less the variance of 100 values)",
			recall, err)
	}
	if e.Exact < 0.08 || e.Exact > 0.4 { // 0.10 to 0.35, and the variance of 150 rows
		t.Errorf("%.2f of the answers are right, want 0.08 to 0.40", e.Exact)
	}
	if e.PassAt4 < e.Exact+0.05 {
		t.Errorf("pass@4 is %.2f, greedy %.2f: want at least 0.05 more, for the search to find", e.PassAt4, e.Exact)
	}
}

func TestBaseIsSmallAndSaysHowItWasMade(t *testing.T) {
	size := int64(0)
	err := fs.WalkDir(demo.Base(), ".", func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		size += info.Size()
		return err
	})
	if err != nil || size > 8<<20 {
		t.Errorf("%d bytes, %v: want at most 8 MiB", size, err)
	}
	for _, name := range []string{"MAKING.md", "MAKING.json"} {
		if _, err := fs.Stat(demo.Base(), name); err != nil {
			t.Error(err)
		}
	}
}

func TestDataset(t *testing.T) {
	for _, c := range []struct {
		quick bool
		file  string
		want  int
	}{
		{true, demo.TrainFile, 320}, {true, demo.TestFile, 150},
		{false, demo.TrainFile, 2000}, {false, demo.ValidationFile, 600}, {false, demo.TestFile, 1200},
	} {
		if got := len(rows(t, c.quick, c.file)); got != c.want {
			t.Errorf("quick %t: %s has %d rows, want %d", c.quick, c.file, got, c.want)
		}
	}
	a, errA := demo.Dataset(true)
	b, errB := demo.Dataset(true)
	if errA != nil || errB != nil || !reflect.DeepEqual(a, b) {
		t.Errorf("two datasets differ: %v %v", errA, errB)
	}
}

func TestConfig(t *testing.T) {
	for _, quick := range []bool{true, false} {
		if err := demo.Config(quick).Validate(); err != nil {
			t.Errorf("quick %v: %v", quick, err)
		}
	}
}
