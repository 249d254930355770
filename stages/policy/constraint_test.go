package policy_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"itool/stages/policy"
	"itool/stages/policy/policytest"
)

// countdown allows one token after the other, and then fails.
type countdown struct {
	tokens   []int32
	accepted []int32
}

var errSpent = errors.New("the constraint is spent")

func (c *countdown) Allowed() ([]uint64, error) {
	if len(c.accepted) == len(c.tokens) {
		return nil, errSpent
	}
	id := c.tokens[len(c.accepted)]
	set := make([]uint64, id/64+1)
	set[id/64] = 1 << (id % 64)
	return set, nil
}

func (c *countdown) Accept(id int32) { c.accepted = append(c.accepted, id) }

// nothing allows no token.
type nothing struct{}

func (nothing) Allowed() ([]uint64, error) { return []uint64{0}, nil }
func (nothing) Accept(int32)               {}

// TestConstraint: a constrained stream draws what is allowed, and a stream beside it draws what it draws alone.
func TestConstraint(t *testing.T) {
	p := policytest.Open(t, 1)
	prompt := mustPrompt(t, p, talk)
	b := batcher(t, p, 8, 0)
	free := policy.Request{Seed: 3, Temperature: 1, MaxTokens: 12}
	draw := func(r policy.Request) (policy.Draw, error) {
		s, err := b.Start(context.Background(), prompt, r, 2)
		if err != nil {
			t.Fatal(err)
		}
		return drain(s)
	}
	alone, err := draw(free)
	if err != nil {
		t.Fatal(err)
	}
	beside := make(chan policy.Draw)
	go func() {
		d, _ := draw(free)
		beside <- d
	}()
	c := &countdown{tokens: []int32{70, 40, 99}}
	d, err := draw(policy.Request{Temperature: 1, MaxTokens: 3, Constraint: c})
	if err != nil || !slices.Equal(d.Tokens, c.tokens) || !slices.Equal(c.accepted, c.tokens) {
		t.Errorf("drawn %v, accepted %v, %v, want %v", d.Tokens, c.accepted, err, c.tokens)
	}
	if got := <-beside; !slices.Equal(got.Tokens, alone.Tokens) {
		t.Errorf("beside it %v is drawn, alone %v", got.Tokens, alone.Tokens)
	}
	d, err = draw(policy.Request{MaxTokens: 9, Constraint: &countdown{tokens: []int32{70}}})
	if !errors.Is(err, errSpent) {
		t.Errorf("an error of the constraint: %v, %v", d.Tokens, err)
	}
	_, err = draw(policy.Request{MaxTokens: 9, Constraint: nothing{}})
	if err == nil || !strings.Contains(err.Error(), "allows no token") {
		t.Errorf("nothing is allowed: %v", err)
	}
	end := p.EndOfTurn()
	d, err = draw(policy.Request{MaxTokens: 9, Constraint: &countdown{tokens: end[len(end)-1:]}})
	if err != nil || d.Reason != policy.ReasonEndOfTurn {
		t.Errorf("the end of the turn: %v, %v", d, err)
	}
	s, err := p.NewSession(prompt)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Draw(t.Context(), []policy.Request{{From: s.Root(), Constraint: c}}); err == nil {
		t.Error("a session took a constraint")
	}
}
