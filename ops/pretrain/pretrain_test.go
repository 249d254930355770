package pretrain_test

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"itool/ops/pretrain"
	"itool/stages/policy"
	"itool/stages/policy/model"
)

// tiny trains for about a second and learns very little.
func tiny() pretrain.Config {
	c := pretrain.Default()
	c.Exam.Rows, c.BatchSize, c.SaveEvery, c.World.Turns, c.Gate = 12, 8, 3, 1, 0
	c.Lessons = []pretrain.Lesson{
		{Rows: 40, Recall: 1, Pairs: 3},
		{Rows: 120, Recall: 0.3, Pairs: 8, Judging: 0.1, Tools: 4, Calls: 2},
	}
	c.Vocab, c.Width, c.Layers, c.Heads, c.KV, c.Inner = 300, 16, 1, 2, 1, 32
	c.Rate = 0.02
	c.Clock = func() time.Time { return time.Unix(0, 0) }
	return c
}

func TestRunMakesAPolicy(t *testing.T) {
	out := filepath.Join(t.TempDir(), "base")
	var first, last pretrain.Progress
	report, err := pretrain.Run(context.Background(), tiny(), out, func(p pretrain.Progress) {
		if p.Step == 1 {
			first = p
		}
		last = p
	})
	if err != nil {
		t.Fatal(err)
	}
	if last.Step != report.Steps || last.Step != 20 || last.Loss > first.Loss-0.5 || math.IsNaN(last.Recall) {
		t.Errorf("from %+v to %+v of %d steps: the loss has not fallen", first, last, report.Steps)
	}
	p, err := policy.Open(os.DirFS(out), policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if p.ContextLength() != 8192 || p.Model().VocabSize != 300 {
		t.Errorf("context %d, vocabulary %d, want 8192 and 300", p.ContextLength(), p.Model().VocabSize)
	}
	if n := parameters(p.Model()); n != report.Parameters {
		t.Errorf("%d parameters, the report says %d", n, report.Parameters)
	}
	if report.Exam.Rows != 12 || report.Exam.CallRows == 0 || len(report.Exam.Samples) == 0 {
		t.Errorf("exam: %+v", report.Exam)
	}
	page, err := os.ReadFile(filepath.Join(out, "MAKING.md"))
	if err != nil || !strings.Contains(string(page), "Apache-2.0") || !strings.Contains(string(page), "| 20 |") {
		t.Errorf("%v\n%s", err, page)
	}
	if _, err := os.Stat(out + ".partial"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the checkpoints were not removed: %v", err)
	}
}

func parameters(m *model.Model) int {
	n := len(m.Embed) + len(m.Norm)
	for i := range m.Layers {
		n += len(m.Layers[i].InputNorm) + len(m.Layers[i].PostNorm)
		for _, l := range m.Layers[i].Linears() {
			n += len(l.W)
		}
	}
	return n
}

// TestInterrupted stops a run several times, each time with an incomplete checkpoint as a
// killed process leaves it. The finished base has the same bytes as one without stops.
func TestInterrupted(t *testing.T) {
	dir := t.TempDir()
	whole, broken := filepath.Join(dir, "whole"), filepath.Join(dir, "broken")
	if _, err := pretrain.Run(context.Background(), tiny(), whole, nil); err != nil {
		t.Fatal(err)
	}
	resumed := 0
	for _, stop := range []int{1, 7, 18} {
		ctx, cancel := context.WithCancel(context.Background())
		_, err := pretrain.Run(ctx, tiny(), broken, func(p pretrain.Progress) {
			if p.Resumed {
				resumed++
			}
			if p.Step >= stop {
				cancel()
			}
		})
		cancel()
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("stopped at %d: %v", stop, err)
		}
		// An incomplete checkpoint, as kill -9 leaves it.
		if err := os.MkdirAll(filepath.Join(broken+".partial", "step-000000099.tmp"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := pretrain.Run(context.Background(), tiny(), broken, func(p pretrain.Progress) {
		if p.Resumed {
			resumed++
		}
	}); err != nil {
		t.Fatal(err)
	}
	if resumed != 2 {
		t.Errorf("resumed %d times, want 2: the first stop was before the first checkpoint", resumed)
	}
	for _, name := range []string{"model.safetensors", "tokenizer.json", "MAKING.json"} {
		a, errA := os.ReadFile(filepath.Join(whole, name))
		b, errB := os.ReadFile(filepath.Join(broken, name))
		if errA != nil || errB != nil || !bytes.Equal(a, b) {
			t.Errorf("%s differs: %v %v", name, errA, errB)
		}
	}
}

func TestRefuses(t *testing.T) {
	t.Run("a folder with other files", func(t *testing.T) {
		out := t.TempDir()
		if err := os.WriteFile(filepath.Join(out, "thesis.tex"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		_, err := pretrain.Run(context.Background(), tiny(), out, nil)
		if err == nil || !strings.Contains(err.Error(), "other files") {
			t.Errorf("got %v, want an error about other files", err)
		}
	})
	t.Run("checkpoints of another configuration", func(t *testing.T) {
		out := filepath.Join(t.TempDir(), "base")
		ctx, cancel := context.WithCancel(context.Background())
		_, err := pretrain.Run(ctx, tiny(), out, func(pretrain.Progress) { cancel() })
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		c := tiny()
		c.Seed++
		_, err = pretrain.Run(context.Background(), c, out, nil)
		if err == nil || !strings.Contains(err.Error(), "another configuration") {
			t.Errorf("got %v, want an error about another configuration", err)
		}
	})
}

func TestValidate(t *testing.T) {
	for name, change := range map[string]func(*pretrain.Config){
		"rows":              func(c *pretrain.Config) { c.Lessons[1].Rows = 0 },
		"folds":             func(c *pretrain.Config) { c.World.Folds = -1 },
		"exam.fold":         func(c *pretrain.Config) { c.Exam.Fold = 0 },
		"lessons":           func(c *pretrain.Config) { c.Lessons = nil },
		"judging":           func(c *pretrain.Config) { c.Lessons[1].Judging = 1 },
		"recall":            func(c *pretrain.Config) { c.Lessons[0].Recall = -1 },
		"pairs":             func(c *pretrain.Config) { c.Lessons[0].Pairs = 0 },
		"gate":              func(c *pretrain.Config) { c.Gate = 2 },
		"tools":             func(c *pretrain.Config) { c.Lessons[1].Tools = 9 },
		"calls":             func(c *pretrain.Config) { c.Lessons[1].Calls = 0 },
		"vocab":             func(c *pretrain.Config) { c.Vocab = 100 },
		"heads":             func(c *pretrain.Config) { c.Heads = 3 },
		"kv":                func(c *pretrain.Config) { c.KV = 0 },
		"rate":              func(c *pretrain.Config) { c.Rate = 0 },
		"batch_size":        func(c *pretrain.Config) { c.BatchSize = 0 },
		"save_every":        func(c *pretrain.Config) { c.SaveEvery = 0 },
		"exam":              func(c *pretrain.Config) { c.Exam.Rows = -1 },
		"num_hidden_layers": func(c *pretrain.Config) { c.Layers = 0 },
		"context":           func(c *pretrain.Config) { c.Context = 40 },
	} {
		t.Run(name, func(t *testing.T) {
			c := tiny()
			change(&c)
			out := filepath.Join(t.TempDir(), "base")
			_, err := pretrain.Run(context.Background(), c, out, nil)
			if err == nil || !strings.Contains(err.Error(), name) {
				t.Errorf("got %v, want an error that names %s", err, name)
			}
		})
	}
}
