package policy_test

import (
	"cmp"
	"context"
	"errors"
	"math"
	"slices"
	"testing"

	"itool/stages/policy"
	"itool/stages/policy/policytest"
)

func newSession(t testing.TB, p *policy.Policy) *policy.Session {
	t.Helper()
	s, err := p.NewSession(mustPrompt(t, p, talk))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustDraw(t testing.TB, s *policy.Session, reqs ...policy.Request) []policy.Draw {
	t.Helper()
	draws, err := s.Draw(context.Background(), reqs)
	if err != nil {
		t.Fatal(err)
	}
	return draws
}

// same compares the parts of two draws that do not depend on the session.
func same(a, b policy.Draw) bool {
	return slices.Equal(a.Tokens, b.Tokens) && slices.Equal(a.LogProbs, b.LogProbs) && a.Reason == b.Reason
}

// A request draws the same bits alone or together with others, in a new session or in one that has drawn
// before.
func TestDrawAloneOrTogether(t *testing.T) {
	p := policytest.Open(t, 1)
	s := newSession(t, p)
	inner := mustDraw(t, s, policy.Request{From: s.Root(), Seed: 9, Temperature: 1, MaxTokens: 7})[0].End
	reqs := []policy.Request{
		{From: s.Root(), Seed: 1, Temperature: 1, MaxTokens: 30},
		{From: s.Root(), Seed: 2, Temperature: 1, MaxTokens: 20}, {From: s.Root(), MaxTokens: 25},
		{From: inner, Seed: 1, Temperature: 1.3, TopP: .9, MaxTokens: 12},
		{From: inner, Seed: 3, Temperature: 1, TopK: 5, MaxTokens: 31},
	}
	for i := range 40 {
		reqs = append(reqs, policy.Request{From: s.Root(), Seed: uint64(100 + i), Temperature: 1, MaxTokens: 10})
	}
	together := mustDraw(t, s, reqs...)
	for i, r := range reqs[:8] {
		fresh := newSession(t, p)
		if i == 3 || i == 4 {
			first := policy.Request{From: fresh.Root(), Seed: 9, Temperature: 1, MaxTokens: 7}
			r.From = mustDraw(t, fresh, first)[0].End
		} else {
			r.From = fresh.Root()
		}
		if alone := mustDraw(t, fresh, r)[0]; !same(alone, together[i]) {
			t.Errorf("request %d:\nalone    %v\ntogether %v", i, alone, together[i])
		}
	}
	if same(together[0], together[1]) {
		t.Error("two seeds draw the same")
	}
}

// The log-probabilities of a draw agree with LogProbs, and greedy draws the likeliest token by LogProbs.
func TestDrawAgreesWithLogProbs(t *testing.T) {
	ctx := context.Background()
	p := policytest.Open(t, 2)
	s := newSession(t, p)
	prompt := mustPrompt(t, p, talk)
	draws := mustDraw(t, s, policy.Request{From: s.Root(), MaxTokens: 40},
		policy.Request{From: s.Root(), Seed: 5, Temperature: 1.5, TopK: 20, MaxTokens: 40})
	for i, d := range draws {
		packed, err := p.LogProbs(ctx, []policy.Sequence{{prompt, d.Tokens}})
		if err != nil {
			t.Fatal(err)
		}
		if !close32(packed[0], d.LogProbs, 1e-4) {
			t.Errorf("draw %d:\n got %v\nwant %v", i, d.LogProbs, packed[0])
		}
	}
	greedy := draws[0].Tokens
	for i := range greedy {
		var seqs []policy.Sequence
		for id := range int32(p.VocabSize()) {
			seqs = append(seqs, policy.Sequence{Prompt: slices.Concat(prompt, greedy[:i]), Answer: []int32{id}})
		}
		if i%8 != 0 { // each costs a pass for every token of the vocabulary
			continue
		}
		all, err := p.LogProbs(ctx, seqs)
		if err != nil {
			t.Fatal(err)
		}
		best := slices.IndexFunc(all, func(l []float32) bool {
			return l[0] == slices.MaxFunc(all, func(a, b []float32) int { return cmp.Compare(a[0], b[0]) })[0]
		})
		if int32(best) != greedy[i] {
			t.Errorf("token %d: greedy %d, packed argmax %d", i, greedy[i], best)
		}
	}
}

func TestReasons(t *testing.T) {
	p := policytest.Open(t, 1)
	s := newSession(t, p)
	free := mustDraw(t, s, policy.Request{From: s.Root(), Seed: 4, Temperature: 1, MaxTokens: 400})[0]
	if free.Reason == policy.ReasonEndOfTurn != p.IsEnd(free.Tokens[len(free.Tokens)-1]) {
		t.Errorf("%s after %v", free.Reason, free.Tokens)
	}
	// With so many draws, one ends its turn.
	var many []policy.Request
	for i := range 64 {
		many = append(many, policy.Request{From: s.Root(), Seed: uint64(i), Temperature: 3, MaxTokens: 300})
	}
	ended := false
	for _, d := range mustDraw(t, s, many...) {
		ended = ended || d.Reason == policy.ReasonEndOfTurn
		at := slices.IndexFunc(d.Tokens, p.IsEnd)
		if d.Reason == policy.ReasonEndOfTurn && at != len(d.Tokens)-1 ||
			d.Reason == policy.ReasonLength && (at >= 0 || len(d.Tokens) != 300) {
			t.Errorf("%s after %d tokens, end at %d", d.Reason, len(d.Tokens), at)
		}
	}
	if !ended {
		t.Error("no draw of 64 ended its turn")
	}
	count := 0
	third := func(int32) bool { count++; return count == 3 }
	d := mustDraw(t, s, policy.Request{From: s.Root(), MaxTokens: 9, Stop: third})[0]
	if d.Reason != policy.ReasonStop || len(d.Tokens) != 3 {
		t.Errorf("got %s after %d tokens, want stop after 3", d.Reason, len(d.Tokens))
	}
	// Two draws, one after the other, are the same as one longer draw.
	whole := mustDraw(t, s, policy.Request{From: s.Root(), MaxTokens: 9})[0]
	rest := mustDraw(t, s, policy.Request{From: d.End, MaxTokens: 6})[0]
	if !slices.Equal(append(slices.Clone(d.Tokens), rest.Tokens...), whole.Tokens) || d.End.Len() != s.Root().Len()+3 {
		t.Errorf("%v and %v, want %v", d.Tokens, rest.Tokens, whole.Tokens)
	}
}

// A draw can be continued after any of its tokens, with the same bits.
func TestDrawAt(t *testing.T) {
	p := policytest.Open(t, 1)
	s := newSession(t, p)
	whole := mustDraw(t, s, policy.Request{From: s.Root(), MaxTokens: 9})[0]
	for n := 1; n < len(whole.Tokens); n++ {
		at := whole.At(n)
		rest := mustDraw(t, s, policy.Request{From: at, MaxTokens: 9 - n})[0]
		equal := slices.Equal(rest.Tokens, whole.Tokens[n:]) && slices.Equal(rest.LogProbs, whole.LogProbs[n:])
		if at.Len() != s.Root().Len()+n || !equal {
			t.Errorf("after %d tokens: got %v, want %v", n, rest.Tokens, whole.Tokens[n:])
		}
	}
}

func TestNext(t *testing.T) {
	ctx := context.Background()
	p := policytest.Open(t, 1)
	s := newSession(t, p)
	b, _, err := s.Append(ctx, s.Root(), p.Answer("Os")[:2])
	if err != nil {
		t.Fatal(err)
	}
	used := s.Tokens()
	all := make([]int32, p.VocabSize())
	for i := range all {
		all[i] = int32(i)
	}
	logps, err := s.Next(ctx, b, all)
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, l := range logps {
		sum += math.Exp(float64(l))
	}
	if math.Abs(sum-1) > 1e-5 || s.Tokens() != used {
		t.Errorf("probabilities sum to %v; cache %d, want %d", sum, s.Tokens(), used)
	}
	for _, id := range []int32{0, 65, 200} {
		_, want, err := s.Append(ctx, b, []int32{id})
		if err != nil || !close32(want, logps[id:id+1], 1e-5) {
			t.Errorf("id %d: got %v, want %v (%v)", id, logps[id], want, err)
		}
	}
	if _, err := s.Next(ctx, b, []int32{-1}); err == nil {
		t.Error("id -1 was accepted")
	}
}

func TestAppendInPieces(t *testing.T) {
	ctx := context.Background()
	p := policytest.Open(t, 1)
	s := newSession(t, p)
	tokens := make([]int32, 700) // several blocks
	for i := range tokens {
		tokens[i] = int32(i * 37 % 256)
	}
	_, whole, err := s.Append(ctx, s.Root(), tokens)
	if err != nil {
		t.Fatal(err)
	}
	at, pieces := s.Root(), []float32(nil)
	for from, n := 0, 1; from < len(tokens); from, n = from+n, n*3 {
		n = min(n, len(tokens)-from)
		var logps []float32
		if at, logps, err = s.Append(ctx, at, tokens[from:from+n]); err != nil {
			t.Fatal(err)
		}
		pieces = append(pieces, logps...)
	}
	if !slices.Equal(whole, pieces) {
		t.Error("one piece and several pieces give different bits")
	}
	if b, logps, err := s.Append(ctx, s.Root(), nil); err != nil || logps != nil || b.Len() != s.Root().Len() {
		t.Errorf("nothing appended: %v %v %v", b, logps, err)
	}
}

func TestBounds(t *testing.T) {
	ctx := context.Background()
	full, err := policy.Open(policytest.Tiny(1), policy.Options{SessionTokens: 200})
	if err != nil {
		t.Fatal(err)
	}
	s, err := full.NewSession(make([]int32, 101))
	if err != nil {
		t.Fatal(err)
	}
	stop := func(int32) bool { return false }
	var reqs []policy.Request
	for i := range 60 {
		reqs = append(reqs, policy.Request{From: s.Root(), Seed: uint64(i), Temperature: 1, MaxTokens: 50, Stop: stop})
	}
	if _, err := s.Draw(ctx, reqs); !errors.Is(err, policy.ErrFull) {
		t.Errorf("got %v, want ErrFull", err)
	}
	// The failed draw has left nothing in the cache.
	if got := s.Tokens(); got != 100 {
		t.Errorf("%d tokens in the cache, want the prompt's 100", got)
	}
	mustDraw(t, s, policy.Request{From: s.Root(), MaxTokens: 20})

	p := policytest.Open(t, 1)
	s, err = p.NewSession(make([]int32, policytest.ContextLength-2))
	if err != nil {
		t.Fatal(err)
	}
	d := mustDraw(t, s, policy.Request{From: s.Root(), Seed: 3, Temperature: 1})[0]
	if d.Reason == policy.ReasonLength && d.End.Len() != policytest.ContextLength {
		t.Errorf("%s at %d", d.Reason, d.End.Len())
	}
	if d.End.Len() == policytest.ContextLength {
		if d := mustDraw(t, s, policy.Request{From: d.End})[0]; len(d.Tokens) != 0 || d.Reason != policy.ReasonLength {
			t.Errorf("drew %v past the context", d)
		}
	}
	if _, _, err := s.Append(ctx, s.Root(), make([]int32, 3)); !errors.Is(err, policy.ErrTooLong) {
		t.Errorf("append: got %v, want ErrTooLong", err)
	}
	other, err := p.NewSession([]int32{1, 2})
	if err != nil {
		t.Fatal(err)
	}
	for name, foreign := range map[string]policy.Branch{"none": {}, "another's": other.Root()} {
		if _, err := s.Draw(ctx, []policy.Request{{From: foreign, MaxTokens: 1}}); err == nil {
			t.Errorf("draw took a branch that is %s", name)
		}
		if _, _, err := s.Append(ctx, foreign, []int32{1}); err == nil {
			t.Errorf("append took a branch that is %s", name)
		}
		if _, err := s.Next(ctx, foreign, []int32{1}); err == nil {
			t.Errorf("next took a branch that is %s", name)
		}
	}
	for _, bad := range []policy.Request{{Temperature: -1}, {TopP: 2}, {MaxTokens: -1}} {
		bad.From = s.Root()
		if _, err := s.Draw(ctx, []policy.Request{bad}); err == nil {
			t.Errorf("%+v was accepted", bad)
		}
	}
	stopped, cancel := context.WithCancel(ctx)
	cancel()
	if _, err := s.Draw(stopped, []policy.Request{{From: s.Root(), MaxTokens: 1}}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the context's error", err)
	}
}

// Weights that overflow give an error, and no number and no token.
func TestOverflow(t *testing.T) {
	ctx := context.Background()
	p := policytest.Open(t, 1)
	s := newSession(t, p)
	for i := range p.Model().Norm {
		p.Model().Norm[i] = 3e38
	}
	if _, err := s.Draw(ctx, []policy.Request{{From: s.Root(), MaxTokens: 1}}); err == nil {
		t.Error("draw: no error")
	}
	if _, _, err := s.Append(ctx, s.Root(), []int32{1}); err == nil {
		t.Error("append: no error")
	}
	if _, err := s.Next(ctx, s.Root(), []int32{1}); err == nil {
		t.Error("next: no error")
	}
	if _, err := p.LogProbs(ctx, []policy.Sequence{{[]int32{1}, []int32{2}}}); err == nil {
		t.Error("log-probabilities: no error")
	}
}

func TestGenerate(t *testing.T) {
	p := policytest.Open(t, 1)
	ctx := context.Background()
	prompt := mustPrompt(t, p, talk)
	var prompts [][]int32
	for i := range 70 { // more than one wave
		prompts = append(prompts, prompt[:1+i%len(prompt)])
	}
	req := policy.Request{Seed: 11, Temperature: 1, MaxTokens: 12}
	draws, err := p.Generate(ctx, prompts, req)
	if err != nil {
		t.Fatal(err)
	}
	for i, ids := range prompts {
		if i%9 != 0 {
			continue
		}
		s, err := p.NewSession(ids)
		if err != nil {
			t.Fatal(err)
		}
		one := req
		one.From, one.Seed = s.Root(), req.Seed+uint64(i)
		if alone := mustDraw(t, s, one)[0]; !same(alone, draws[i]) {
			t.Errorf("prompt %d:\nalone    %v\ntogether %v", i, alone, draws[i])
		}
	}
	if draws, err := p.Generate(ctx, nil, req); err != nil || len(draws) != 0 {
		t.Errorf("no prompts: %v, %v", draws, err)
	}
}

// TestGenerateEach: several requests for the same prompts draw what each draws alone, in whatever batches they fit.
func TestGenerateEach(t *testing.T) {
	p := policytest.Open(t, 1)
	prompt := mustPrompt(t, p, talk)
	prompts := [][]int32{prompt, prompt[:3], prompt, prompt[:9]}
	reqs := []policy.Request{
		{MaxTokens: 12}, {Seed: 5, Temperature: 1, MaxTokens: 3},
		{Seed: 6, Temperature: 1}, // to the context's end
	}
	for i := range 70 { // more than one batch for each prompt
		reqs = append(reqs, policy.Request{Seed: uint64(100 * i), Temperature: 2, TopK: 40, MaxTokens: 2 + i%5})
	}
	all, err := p.GenerateEach(t.Context(), prompts, reqs)
	if err != nil || len(all) != len(reqs) {
		t.Fatalf("%d answers, %v", len(all), err)
	}
	for r, req := range reqs {
		alone, err := p.Generate(t.Context(), prompts, req)
		if err != nil {
			t.Fatal(err)
		}
		for i := range prompts {
			if !same(alone[i], all[r][i]) {
				t.Errorf("request %d, prompt %d:\nalone    %v\ntogether %v", r, i, alone[i], all[r][i])
			}
		}
	}
	if all, err := p.GenerateEach(t.Context(), prompts, nil); err != nil || len(all) != 0 {
		t.Errorf("no requests: %v, %v", all, err)
	}
}

// TestChoose: several continuations in one call give the same as each alone, and nothing stays in the cache.
func TestChoose(t *testing.T) {
	p := policytest.Open(t, 1)
	s, err := p.NewSession([]int32{5, 6, 7})
	if err != nil {
		t.Fatal(err)
	}
	tails, ids := [][]int32{{8, 9, 10}, {8}, {11, 12}}, []int32{3, 4}
	got, err := s.Choose(t.Context(), s.Root(), tails, ids)
	if err != nil {
		t.Fatal(err)
	}
	if n := s.Tokens(); n != 2 {
		t.Errorf("%d tokens in the cache, want those of the prompt but the last", n)
	}
	for i, tail := range tails {
		b, _, err := s.Append(t.Context(), s.Root(), tail)
		if err != nil {
			t.Fatal(err)
		}
		want, err := s.Next(t.Context(), b, ids)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got[i], want) {
			t.Errorf("continuation %d: %v, alone %v", i, got[i], want)
		}
	}
	if _, err := s.Choose(t.Context(), s.Root(), [][]int32{{8}, nil}, ids); err == nil {
		t.Error("an empty continuation was accepted")
	}
}
