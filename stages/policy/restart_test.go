package policy_test

import (
	"slices"
	"testing"

	"itool/stages/policy"
	"itool/stages/policy/policytest"
)

// TestRestart: a restarted session draws what a new one draws, and refuses branches from before the restart.
func TestRestart(t *testing.T) {
	p := policytest.Open(t, 1)
	prompt := mustPrompt(t, p, talk)
	s, err := p.NewSession(prompt)
	if err != nil {
		t.Fatal(err)
	}
	other := slices.Clone(prompt)
	other[len(other)/2]++
	req := policy.Request{Temperature: 1, Seed: 4, MaxTokens: 9}
	longer := append(slices.Clone(prompt), 9, 8, 7)
	for i, next := range [][]int32{prompt, other, prompt[:7], prompt, longer, {5}, other} {
		old := s.Root()
		if err := s.Restart(next); err != nil {
			t.Fatal(err)
		}
		fresh, err := p.NewSession(next)
		if err != nil {
			t.Fatal(err)
		}
		draw := func(s *policy.Session) policy.Draw {
			r := req
			r.From = s.Root()
			draws, err := s.Draw(t.Context(), []policy.Request{r})
			if err != nil {
				t.Fatal(err)
			}
			return draws[0]
		}
		if got, want := draw(s), draw(fresh); !same(got, want) || s.Tokens() != fresh.Tokens() {
			t.Errorf("prompt %d: drew %v, a new session %v; %d and %d tokens",
				i, got.Tokens, want.Tokens, s.Tokens(), fresh.Tokens())
		}
		if _, _, err := s.Append(t.Context(), old, []int32{5}); err == nil {
			t.Errorf("prompt %d: a branch from before the restart was accepted", i)
		}
	}
	if err := s.Restart(nil); err == nil {
		t.Error("an empty prompt was accepted")
	}
}

// TestDrawAtAfterRestart: a place inside a draw is as valid as the draw's end. The branches of
// the present prompt are taken, also after a restart; those of an earlier prompt are refused.
func TestDrawAtAfterRestart(t *testing.T) {
	p := policytest.Open(t, 1)
	prompt := mustPrompt(t, p, talk)
	s, err := p.NewSession(prompt)
	if err != nil {
		t.Fatal(err)
	}
	draw := func() *policy.Draw {
		return &mustDraw(t, s, policy.Request{From: s.Root(), MaxTokens: 9})[0]
	}
	before := draw()
	for range 2 {
		if err := s.Restart(prompt[:len(prompt)-1]); err != nil {
			t.Fatal(err)
		}
		after := draw()
		for _, n := range []int{1, len(after.Tokens) - 1, len(after.Tokens)} {
			rest, err := s.Draw(t.Context(), []policy.Request{{From: after.At(n), MaxTokens: 9}})
			if err != nil {
				t.Fatalf("after %d tokens of a draw of the present prompt: %v", n, err)
			}
			if want := after.Tokens[n:]; !slices.Equal(rest[0].Tokens[:len(want)], want) {
				t.Errorf("after %d tokens: got %v, want it to begin with %v", n, rest[0].Tokens, want)
			}
			if _, err := s.Draw(t.Context(), []policy.Request{{From: before.At(n), MaxTokens: 1}}); err == nil {
				t.Errorf("after %d tokens of a draw of an earlier prompt: not refused", n)
			}
		}
		before = after
	}
}
