package policy_test

import (
	"context"
	"slices"
	"testing"

	"itool/stages/policy"
	"itool/stages/policy/policytest"
)

// A token is computed once in a session: draws that repeat others take no room in the cache, and have the
// same bits.
func TestARepeatedDrawIsNotComputedAgain(t *testing.T) {
	p := policytest.Open(t, 1)
	s := newSession(t, p)
	req := policy.Request{From: s.Root(), Seed: 7, Temperature: 1, MaxTokens: 20}
	first, used := mustDraw(t, s, req)[0], s.Tokens()
	for i, d := range mustDraw(t, s, req, req, req) {
		if !same(d, first) {
			t.Errorf("draw %d: %v, want %v", i, d, first)
		}
	}
	if s.Tokens() != used {
		t.Errorf("%d tokens in the cache, %d before", s.Tokens(), used)
	}
	// The branches are the same place, too.
	a := mustDraw(t, s, policy.Request{From: first.At(5), Seed: 8, Temperature: 1, MaxTokens: 9})[0]
	b := mustDraw(t, s, policy.Request{From: mustDraw(t, s, req)[0].At(5), Seed: 8, Temperature: 1, MaxTokens: 9})[0]
	if !same(a, b) {
		t.Errorf("from the same place: %v and %v", a, b)
	}
}

// After a draw that failed, after a look at the next token and after a restart the session draws the bits
// of a new one: no token of before is taken for a computed one.
func TestForgottenTokensAreComputedAgain(t *testing.T) {
	p := policytest.Open(t, 1)
	req := func(s *policy.Session, seed uint64) policy.Request {
		return policy.Request{From: s.Root(), Seed: seed, Temperature: 1, MaxTokens: 25}
	}
	fresh := newSession(t, p)
	want := mustDraw(t, fresh, req(fresh, 1), req(fresh, 2))
	check := func(s *policy.Session, after string) {
		t.Helper()
		for i, d := range mustDraw(t, s, req(s, 1), req(s, 2)) {
			if !same(d, want[i]) {
				t.Errorf("after %s: draw %d is %v, want %v", after, i, d, want[i])
			}
		}
	}
	s := newSession(t, p)
	ctx, cancel := context.WithCancel(context.Background())
	stopped := req(s, 1)
	stopped.Stop = func(int32) bool { cancel(); return false }
	if _, err := s.Draw(ctx, []policy.Request{stopped}); err == nil {
		t.Fatal("a cancelled draw succeeded")
	}
	if _, _, err := s.Append(context.Background(), s.Root(), want[1].Tokens); err != nil {
		t.Fatal(err)
	}
	check(s, "a cancelled draw and an appended text")
	if _, err := s.Next(context.Background(), want0(t, s, req(s, 1)), []int32{1, 2}); err != nil {
		t.Fatal(err)
	}
	check(s, "a look at the next token")
	prompt := mustPrompt(t, p, talk)
	if err := s.Restart(prompt[:len(prompt)-3]); err != nil {
		t.Fatal(err)
	}
	mustDraw(t, s, req(s, 1), req(s, 2))
	if err := s.Restart(prompt); err != nil {
		t.Fatal(err)
	}
	check(s, "two restarts")
}

func want0(t *testing.T, s *policy.Session, r policy.Request) policy.Branch {
	t.Helper()
	return mustDraw(t, s, r)[0].End
}

// Done hears of each draw once, as soon as it has ended: of a short one while a long one still runs.
func TestDone(t *testing.T) {
	p := policytest.Open(t, 1)
	s := newSession(t, p)
	var order []int
	var reqs []policy.Request
	for i, limit := range []int{30, 5, 12} {
		reqs = append(reqs, policy.Request{
			From: s.Root(), Seed: 3, Temperature: 1, MaxTokens: limit,
			Done: func(d *policy.Draw) {
				if order = append(order, i); len(d.Tokens) == 0 || d.Reason == "" || d.End.Len() == 0 {
					t.Errorf("draw %d is not complete: %+v", i, d)
				}
			},
		})
	}
	draws := mustDraw(t, s, reqs...)
	if !slices.IsSortedFunc(order, func(a, b int) int { return len(draws[a].Tokens) - len(draws[b].Tokens) }) ||
		len(order) != 3 {
		t.Errorf("done in the order %v", order)
	}
}
