package policy_test

import (
	"context"
	"io/fs"
	"slices"
	"testing"

	"itool/stages/policy"
	"itool/stages/policy/model"
	"itool/stages/policy/policytest"
)

// kin are checkpoints of all families: the golden ones, and a SmolLM3 of more layers, of which the first and a
// middle one do not rotate.
func kin(t *testing.T) map[string]fs.FS {
	all := map[string]fs.FS{"smollm3 of five layers": policytest.Shaped(3, model.Config{
		Family: model.SmolLM3, HiddenSize: 32, IntermediateSize: 48, NumLayers: 5, NumHeads: 4, NumKVHeads: 2,
		HeadDim: 8, MaxPositions: 64, RopeTheta: 10000, RMSNormEps: 1e-5,
		NoRope: []bool{true, false, false, true, false},
	})}
	for _, g := range policytest.Goldens(t) {
		all[g.Name] = g.Folder(false)
	}
	return all
}

// TestFamiliesAgree: every family, in every form of its weights, draws the same in a tree, in a batch that others
// join, and alone, and the draws have the log-probabilities that LogProbs computes of them.
func TestFamiliesAgree(t *testing.T) {
	for name, fsys := range kin(t) {
		for form, open := range map[string]func() (fs.FS, model.Form){
			"float32": func() (fs.FS, model.Form) { return fsys, model.Float32 },
			"bf16":    func() (fs.FS, model.Form) { return policytest.BF16(t, fsys), model.Mapped },
			"int8":    func() (fs.FS, model.Form) { return fsys, model.Int8 },
			"nf4":     func() (fs.FS, model.Form) { return policytest.NF4(t, fsys), model.Mapped },
		} {
			t.Run(name+"/"+form, func(t *testing.T) {
				folder, as := open()
				p, err := policy.Open(folder, policy.Options{Form: as})
				if err != nil {
					t.Fatal(err)
				}
				drawsAgree(t, p)
				widens(t, p)
			})
		}
	}
}

func drawsAgree(t *testing.T, p *policy.Policy) {
	t.Helper()
	ctx := context.Background()
	prompt := []int32{1, 7, 30, 12, 99, 5}
	s, err := p.NewSession(prompt)
	if err != nil {
		t.Fatal(err)
	}
	trunk := mustDraw(t, s, policy.Request{From: s.Root(), Seed: 3, Temperature: 1, MaxTokens: 4})[0]
	var reqs []policy.Request
	for i := range 6 {
		from := s.Root()
		if i%2 == 1 {
			from = trunk.End
		}
		reqs = append(reqs, policy.Request{From: from, Seed: uint64(i), Temperature: 1, MaxTokens: 8 + i})
	}
	tree := mustDraw(t, s, reqs...)
	// From an inner node the keys and values were decoded, not computed as a prompt: the bits may differ.
	alike := func(i int, d policy.Draw) bool {
		return same(d, tree[i]) ||
			i%2 == 1 && slices.Equal(d.Tokens, tree[i].Tokens) && close32(d.LogProbs, tree[i].LogProbs, 1e-4)
	}
	b := batcher(t, p, 8, 0)
	var streams []*policy.Stream
	for i, req := range reqs {
		text := prompt
		if i%2 == 1 {
			text = slices.Concat(prompt, trunk.Tokens)
		}
		req.From = policy.Branch{}
		stream, err := b.Start(ctx, text, req, 0)
		if err != nil {
			t.Fatal(err)
		}
		streams = append(streams, stream)
		alone, err := p.Generate(ctx, [][]int32{text}, req)
		if err != nil {
			t.Fatal(err)
		}
		if !alike(i, alone[0]) {
			t.Errorf("draw %d: alone %v, in a tree %v", i, alone[0].Tokens, tree[i].Tokens)
		}
		packed, err := p.LogProbs(ctx, []policy.Sequence{{Prompt: text, Answer: tree[i].Tokens}})
		if err != nil {
			t.Fatal(err)
		}
		if !close32(packed[0], tree[i].LogProbs, 1e-4) {
			t.Errorf("draw %d: log-probabilities %v, of the whole answer %v", i, tree[i].LogProbs, packed[0])
		}
	}
	for i, stream := range streams {
		if got, err := drain(stream); err != nil || !alike(i, got) {
			t.Errorf("draw %d: in a batch %v, in a tree %v, %v", i, got.Tokens, tree[i].Tokens, err)
		}
	}
}

// widens checks that the policy gives the same bits as its weights in float32.
func widens(t *testing.T, p *policy.Policy) {
	t.Helper()
	seqs := []policy.Sequence{{Prompt: []int32{1, 7, 30}, Answer: []int32{12, 99, 5}}}
	got, err := p.LogProbs(context.Background(), seqs)
	if err != nil {
		t.Fatal(err)
	}
	want, err := p.With(p.Model().Clone()).LogProbs(context.Background(), seqs)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got[0], want[0]) {
		t.Errorf("log-probabilities %v, in float32 %v", got[0], want[0])
	}
}

// TestTokensAllocateNothing: in any family a longer draw allocates no more than a shorter one.
func TestTokensAllocateNothing(t *testing.T) {
	for _, g := range policytest.Goldens(t) {
		p, err := policy.Open(g.Folder(true), policy.Options{})
		if err != nil {
			t.Fatal(err)
		}
		allocations := func(tokens int) (n float64, drawn int) {
			req := policy.Request{Seed: 3, Temperature: 1, MaxTokens: tokens}
			n = testing.AllocsPerRun(50, func() {
				d, err := p.Generate(context.Background(), [][]int32{{1, 7, 30, 12}}, req)
				if err != nil {
					t.Fatal(err)
				}
				drawn = len(d[0].Tokens)
			})
			return n, drawn
		}
		few, _ := allocations(2)
		many, drawn := allocations(40)
		if many > few+3 { // slices of the result grow
			t.Errorf("%s: %v allocations for %d tokens, %v for 2", g.Name, many, drawn, few)
		}
	}
}
