package op_test

import (
	"slices"
	"strings"
	"testing"

	"itool/stages/policy/kernel"
	"itool/stages/policy/op"

	G "gorgonia.org/gorgonia"
)

// TestBadBatches: wrong numbers in a batch are errors, not panics.
func TestBadBatches(t *testing.T) {
	tests := []struct {
		name  string
		spoil func(op.Rows)
		want  string
	}{
		{"id", func(r op.Rows) { r.IDs[0] = 13 }, "token id 13"},
		{"target", func(r op.Rows) { r.Targets[1] = -2 }, "target -2"},
		{"position", func(r op.Rows) { r.Positions[1] = 16 }, "position 16"},
		{"first border", func(r op.Rows) { r.Cu[0] = 1 }, "begins with 1"},
		{"capacity", func(r op.Rows) {
			for i := range r.Cu[2:] {
				r.Cu[2+i] = 13
			}
		}, "capacity"},
		{"mask", func(r op.Rows) { r.Mask[0], r.Mask[1] = 2, 6 }, "mask 2..6"},
		{"descending", func(r op.Rows) { r.Cu[3] = 2 }, "after the last end"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, 1)
			x, _, err := op.Embed("embed", b.c, b.batch, op.Table{W: kernel.Host(b.noise(13*8, 1))})
			if err != nil {
				t.Fatal(err)
			}
			x = must[*G.Node](t)(op.Attention("a", b.c, 0, b.batch, x, op.AttentionParams{Norm: b.vector("", "frozen"),
				Q: b.linear("q", "frozen", 16, 8), K: b.linear("k", "frozen", 8, 8), V: b.linear("v", "frozen", 8, 8),
				O: b.linear("o", "frozen", 8, 16)}))
			w := kernel.Host(b.noise(13*8, 1))
			logp := must[*G.Node](t)(op.Head("head", b.c, b.batch, x,
				op.HeadParams{Norm: b.vector("", "frozen"), W: w, M: b.c.Device.Pack(w, 13, 8)}))
			m := must[*op.Program](t)(op.Compile(logp))
			if err := m.Run(); err != nil {
				t.Fatal(err)
			}
			tt.spoil(b.rows)
			if err := m.Run(); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want an error with %q", err, tt.want)
			}
		})
	}
}

// TestForeignNode: a program accepts only operations of this package.
func TestForeignNode(t *testing.T) {
	b := newBench(t, 1)
	x := b.param("x", 1, small.T, small.C)
	y := must[*G.Node](t)(G.Add(x, x))
	if _, err := op.Compile(y); err == nil || !strings.Contains(err.Error(), "neither an operation of this package") {
		t.Errorf("got %v", err)
	}
}

// TestPairRows: a pair has the rows of its prompt once, except for the prompt's last token.
func TestPairRows(t *testing.T) {
	b := newBench(t, 1)
	r := b.rows
	r.Reset()
	if at, fork := r.AddPair([]int32{1, 2, 3}, []int32{4, 5}, []int32{6}); at != 0 || fork != 5 {
		t.Fatalf("rows %d and %d", at, fork)
	}
	if at, fork := r.AddPair(nil, []int32{7, 8}, []int32{9, 10}); at != 7 || fork != 9 {
		t.Fatalf("without a prompt: rows %d and %d", at, fork)
	}
	for name, c := range map[string][2][]int32{
		"ids":       {r.IDs[:11], {1, 2, 3, 4, 5, 3, 6, 7, 8, 9, 10}},
		"targets":   {r.Targets[:11], {-1, -1, 4, 5, -1, 6, -1, 8, -1, 10, -1}},
		"positions": {r.Positions[:11], {0, 1, 2, 3, 4, 2, 3, 0, 1, 0, 1}},
		"cu":        {r.Cu[:4], {0, 7, 11, 11}},
		"mask":      {r.Mask[:4], {2, 5, 7, 9}},
	} {
		if !slices.Equal(c[0], c[1]) {
			t.Errorf("%s %v, want %v", name, c[0], c[1])
		}
	}
	if at, _ := r.AddPair([]int32{1}, []int32{2}, []int32{3}); at != -1 {
		t.Errorf("a pair that does not fit got row %d", at)
	}
}

func TestRows(t *testing.T) {
	b := newBench(t, 1)
	r := b.rows
	if got, want := r.Targets[:9], []int32{-1, 3, 4, 2, -1, 1, 12, 0, -1}; !slices.Equal(got, want) {
		t.Errorf("targets %v, want %v: the row before a token predicts it", got, want)
	}
	if got, want := r.Positions[:9], []int32{0, 1, 2, 3, 4, 0, 1, 2, 3}; !slices.Equal(got, want) {
		t.Errorf("positions %v, want %v", got, want)
	}
	if got := r.Add([]int32{1}, []int32{2, 3, 4}); got != -1 {
		t.Errorf("a sequence that does not fit got row %d", got)
	}
	if got := r.Add([]int32{1}, []int32{2, 3}); got != 9 || r.Len() != 12 {
		t.Errorf("the rest: row %d, length %d", got, r.Len())
	}
}
