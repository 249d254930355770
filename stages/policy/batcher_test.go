package policy_test

import (
	"cmp"
	"context"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"itool/stages/policy"
	"itool/stages/policy/kernel"
	"itool/stages/policy/kernel/cpu"
	"itool/stages/policy/policytest"
)

// batcher runs a batcher until the test ends.
func batcher(t *testing.T, p *policy.Policy, requests, tokens int) *policy.Batcher {
	b := policy.NewBatcher(p, requests, tokens)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); b.Run(ctx) }()
	t.Cleanup(func() { stop(); <-done })
	return b
}

func drain(s *policy.Stream) (d policy.Draw, err error) {
	for {
		t, err := s.Next()
		if err == io.EOF {
			d.Reason = s.Reason()
			return d, nil
		}
		if err != nil {
			return d, err
		}
		d.Tokens, d.LogProbs = append(d.Tokens, t.ID), append(d.LogProbs, float32(t.LogProb))
	}
}

// TestBatcherDrawsTheSameBits: requests that arrive and end at any time draw what each draws alone, also
// when the cache is full and prefixes must give way.
func TestBatcherDrawsTheSameBits(t *testing.T) {
	p := policytest.Open(t, 1)
	prompt := mustPrompt(t, p, talk)
	b := batcher(t, p, 100, 3*len(prompt)+150)
	var wg sync.WaitGroup
	for i := range 24 {
		wg.Go(func() {
			req := policy.Request{Seed: uint64(i), Temperature: 1, TopK: i % 4 * 10, MaxTokens: 5 + 7*(i%6)}
			from := prompt[:len(prompt)-i%3]
			for range 3 {
				s, err := b.Start(context.Background(), from, req, 0)
				if err != nil {
					t.Error(err)
					return
				}
				got, err := drain(s)
				if err != nil {
					t.Error(err)
					return
				}
				want, err := p.Generate(context.Background(), [][]int32{from}, req)
				if err != nil {
					t.Error(err)
					return
				}
				if !same(got, want[0]) {
					t.Errorf("request %d: got %v %s, alone %v %s",
						i, got.Tokens, got.Reason, want[0].Tokens, want[0].Reason)
				}
			}
		})
	}
	wg.Wait()
}

// TestBatcherCachesPrefixes: of a prompt that begins like an earlier one, only the rest is computed, and the
// bits are the same. Tokens of answers are not cached.
func TestBatcherCachesPrefixes(t *testing.T) {
	p := policytest.Open(t, 1)
	prompt := mustPrompt(t, p, talk)
	b := batcher(t, p, 10, 0)
	ask := func(prompt []int32, seed uint64, cached int) policy.Draw {
		t.Helper()
		req := policy.Request{Seed: seed, Temperature: 1, MaxTokens: 6}
		s, err := b.Start(context.Background(), prompt, req, 0)
		if err != nil {
			t.Fatal(err)
		}
		got, err := drain(s)
		if err != nil {
			t.Fatal(err)
		}
		want, err := p.Generate(context.Background(), [][]int32{prompt}, req)
		if err != nil {
			t.Fatal(err)
		}
		if !same(got, want[0]) {
			t.Errorf("request %d: got %v, alone %v", seed, got, want[0])
		}
		if s.Cached() != cached {
			t.Errorf("request %d: %d tokens of the prompt came from the cache, want %d", seed, s.Cached(), cached)
		}
		return got
	}
	n := len(prompt)
	first := ask(prompt, 1, 0)
	// All but the last token, which the first step of a draw computes.
	ask(prompt, 2, n-1)
	// The next turn of a conversation.
	ask(slices.Concat(prompt, first.Tokens, []int32{7}), 3, n-1)
	other := slices.Clone(prompt)
	other[n/2]++
	ask(other, 4, n/2)
	ask(prompt[:n-5], 5, n-6)
	fresh := append([]int32{9}, prompt...)
	var choices []*policy.Stream
	for i := range 3 {
		s, err := b.Start(context.Background(), fresh, policy.Request{Seed: uint64(i), Temperature: 1, MaxTokens: 6}, 0)
		if err != nil {
			t.Fatal(err)
		}
		choices = append(choices, s)
	}
	for i, s := range choices {
		if _, err := drain(s); err != nil || s.Cached() != min(i, 1)*n {
			t.Errorf("choice %d of one prompt: %d of %d tokens came from the cache, %v", i, s.Cached(), n+1, err)
		}
	}
}

// TestBatcherChunksPrompts: while others draw, a long prompt is computed in chunks, and the bits are the same.
func TestBatcherChunksPrompts(t *testing.T) {
	p := policytest.Open(t, 1)
	prompt := mustPrompt(t, p, talk)
	b := batcher(t, p, 10, 0)
	long := slices.Concat(slices.Repeat(prompt[:1], 700), prompt)
	req := policy.Request{Seed: 2, Temperature: 1, MaxTokens: 5}
	want, err := p.Generate(context.Background(), [][]int32{long}, req)
	if err != nil {
		t.Fatal(err)
	}
	// A request that draws all the time, so that the long prompt is chunked.
	first, err := b.Start(context.Background(), prompt, policy.Request{Seed: 1, Temperature: 1}, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := first.Next(); err != nil {
		t.Fatal(err)
	}
	second, err := b.Start(context.Background(), long, req, 0)
	if err != nil {
		t.Fatal(err)
	}
	got, err := drain(second)
	if err != nil || !same(got, want[0]) {
		t.Errorf("got %v %v, alone %v", got, err, want[0])
	}
	if _, err := drain(first); err != nil {
		t.Error(err)
	}
}

func TestBatcherAlternatives(t *testing.T) {
	p := policytest.Open(t, 1)
	prompt := mustPrompt(t, p, talk)
	s, err := batcher(t, p, 1, 0).Start(context.Background(), prompt, policy.Request{MaxTokens: 3}, 4)
	if err != nil {
		t.Fatal(err)
	}
	session := newSession(t, p)
	all := make([]int32, p.VocabSize())
	for i := range all {
		all[i] = int32(i)
	}
	branch := session.Root()
	for range 3 {
		tok, err := s.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		want, err := session.Next(context.Background(), branch, all)
		if err != nil {
			t.Fatal(err)
		}
		order := slices.Clone(all)
		slices.SortStableFunc(order, func(a, b int32) int { return -cmp.Compare(want[a], want[b]) })
		if len(tok.Top) != 4 || tok.Top[0].ID != tok.ID { // greedy
			t.Fatalf("top %v of token %d", tok.Top, tok.ID)
		}
		for i, a := range tok.Top {
			if a.ID != order[i] || math.Abs(a.LogProb-float64(want[a.ID])) > 1e-5 {
				t.Errorf("alternative %d: %v, want %d with %v", i, a, order[i], want[order[i]])
			}
		}
		if branch, _, err = session.Append(context.Background(), branch, []int32{tok.ID}); err != nil {
			t.Fatal(err)
		}
	}
}

// TestScore: Score agrees with LogProbs on the tokens of a text, and with a session on the likeliest tokens in
// their places.
func TestScore(t *testing.T) {
	p := policytest.Open(t, 1)
	ids := mustPrompt(t, p, talk)
	want, err := p.LogProbs(t.Context(), []policy.Sequence{{Prompt: ids[:1], Answer: ids[1:]}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := p.Score(t.Context(), ids, 2)
	if err != nil || len(got) != len(ids)-1 {
		t.Fatalf("%d tokens, %v", len(got), err)
	}
	for i, tok := range got {
		if tok.ID != ids[i+1] || math.Abs(tok.LogProb-float64(want[0][i])) > 1e-5 {
			t.Errorf("token %d: %+v, want %d with %v", i, tok, ids[i+1], want[0][i])
		}
		session, err := p.NewSession(ids[:i+1])
		if err != nil {
			t.Fatal(err)
		}
		top, err := session.Next(t.Context(), session.Root(), []int32{tok.Top[0].ID, tok.Top[1].ID})
		if err != nil {
			t.Fatal(err)
		}
		first, second := tok.Top[0].LogProb, tok.Top[1].LogProb
		if math.Abs(float64(top[0])-first) > 1e-5 || math.Abs(float64(top[1])-second) > 1e-5 || first < second {
			t.Errorf("token %d: alternatives %v, a session gives %v", i, tok.Top, top)
		}
	}
	if got, err := p.Score(t.Context(), ids[:1], 0); err != nil || len(got) != 0 {
		t.Errorf("one token: %v, %v", got, err)
	}
	if _, err := p.Score(t.Context(), []int32{-1}, 0); err == nil {
		t.Error("token -1 was accepted")
	}
}

func TestBatcherRefuses(t *testing.T) {
	p := policytest.Open(t, 1)
	prompt := mustPrompt(t, p, talk)
	b := policy.NewBatcher(p, 1, len(prompt)+10)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); b.Run(ctx) }()
	start := func(ctx context.Context, prompt []int32, r policy.Request) (*policy.Stream, error) {
		return b.Start(ctx, prompt, r, 0)
	}
	for want, err := range map[string]error{
		"token 0: id -1":       second(start(ctx, []int32{-1}, policy.Request{MaxTokens: 1})),
		"temperature: -1":      second(start(ctx, prompt, policy.Request{MaxTokens: 1, Temperature: -1})),
		"more than the":        second(start(ctx, prompt, policy.Request{MaxTokens: 11})),
		"nothing is left for ": second(start(ctx, make([]int32, policytest.ContextLength), policy.Request{})),
	} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want an error with %q", err, want)
		}
	}
	// A cancelled request makes room for the next one.
	gone, leave := context.WithCancel(ctx)
	s, err := start(gone, prompt, policy.Request{MaxTokens: 10, Temperature: 1})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := start(ctx, prompt, policy.Request{MaxTokens: 1}); err != nil && !errors.Is(err, policy.ErrBusy) {
		t.Errorf("a second request: %v", err)
	}
	leave()
	if _, err := drain(s); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled stream ends with %v", err)
	}
	next, err := start(ctx, prompt, policy.Request{MaxTokens: 10})
	for errors.Is(err, policy.ErrBusy) { // its place is given back a moment after its end
		next, err = start(ctx, prompt, policy.Request{MaxTokens: 10})
	}
	if err != nil {
		t.Fatal(err)
	}
	if d, err := drain(next); err != nil || len(d.Tokens) == 0 {
		t.Errorf("the next one draws %v, %v", d, err)
	}
	stop()
	<-done
	_, err = start(context.Background(), prompt, policy.Request{MaxTokens: 1})
	if !errors.Is(err, policy.ErrStopped) {
		t.Errorf("after the end: %v", err)
	}
}

func second[T any](_ T, err error) error { return err }

// witness is a constraint that allows everything, and notes when it was asked.
type witness struct {
	all   []uint64
	notes *notes
}

type notes struct {
	sync.Mutex
	asked  []*witness
	others chan struct{} // closed once all requests are handed in; until then nothing is drawn
}

func (w *witness) Allowed() ([]uint64, error) {
	<-w.notes.others
	w.notes.Lock()
	defer w.notes.Unlock()
	w.notes.asked = append(w.notes.asked, w)
	return w.all, nil
}

func (*witness) Accept(int32) {}

// besideFirst is how many others had begun before the first one ended.
func (n *notes) besideFirst() int {
	begun := map[*witness]bool{}
	for i := len(n.asked) - 1; i >= 0; i-- {
		if n.asked[i] != n.asked[0] && len(begun) == 0 {
			continue // after its end
		}
		begun[n.asked[i]] = true
	}
	return len(begun) - 1
}

// TestBatcherCountsSharedTokensOnce: requests whose prompts begin alike run together where the KV cache has room for
// one prompt and their answers, and those with other prompts do not.
func TestBatcherCountsSharedTokensOnce(t *testing.T) {
	p := policytest.Open(t, 1)
	prompt := slices.Repeat(mustPrompt(t, p, talk), 4)
	const answer, requests = 40, 6
	if len(prompt) < requests*answer {
		t.Fatalf("the prompt has %d tokens", len(prompt))
	}
	beside := func(alike bool) int {
		b := policy.NewBatcher(p, requests, len(prompt)+requests*(answer+1))
		n := notes{others: make(chan struct{})}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); b.Run(ctx) }()
		defer func() { stop(); <-done }()
		var ends, starts sync.WaitGroup
		for i := range requests {
			from := slices.Clone(prompt)
			if from[len(from)-1] = int32(i); !alike {
				from[0] = int32(i)
			}
			w := &witness{slices.Repeat([]uint64{^uint64(0)}, p.VocabSize()/64+1), &n}
			req := policy.Request{Seed: 1, Temperature: 1, MaxTokens: answer, Constraint: w}
			starts.Add(1)
			ends.Go(func() {
				starts.Done()
				s, err := b.Start(ctx, from, req, 0)
				if err != nil {
					t.Error(err)
					return
				}
				if d, err := drain(s); err != nil || len(d.Tokens) < answer/2 {
					t.Errorf("request %d: %v, %v", i, d, err)
				}
			})
		}
		starts.Wait()
		time.Sleep(20 * time.Millisecond) // until they wait for Run, or nearly all of them
		close(n.others)
		ends.Wait()
		return n.besideFirst()
	}
	if n := beside(true); n < 3 {
		t.Errorf("with a common prompt %d of %d run beside the first", n, requests-1)
	}
	if n := beside(false); n != 0 {
		t.Errorf("with prompts of their own %d run beside the first", n)
	}
}

// fullDevice is a device whose memory is full when full is set.
type fullDevice struct {
	kernel.Device
	full atomic.Bool
}

var errMemory = errors.New("the memory is full")

func (d *fullDevice) Floats(n int) kernel.Floats {
	if d.full.Load() {
		panic(&kernel.Failure{Err: errMemory})
	}
	return d.Device.Floats(n)
}

// TestBatcherOutlivesFullMemory: a request whose prompt the KV cache cannot grow for ends with the device's error, and
// takes no room from those after it.
func TestBatcherOutlivesFullMemory(t *testing.T) {
	dev, err := cpu.New(cpu.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	full := &fullDevice{Device: dev}
	p, err := policy.Open(policytest.Tiny(1), policy.Options{Device: full})
	if err != nil {
		t.Fatal(err)
	}
	prompt := mustPrompt(t, p, talk)
	long := slices.Repeat(prompt, 300/len(prompt)+1) // more than the first allocation has room for
	b := batcher(t, p, 4, len(long)+8)
	for _, c := range []struct {
		prompt []int32
		full   bool
	}{{prompt, false}, {long, true}, {long, false}} {
		full.full.Store(c.full)
		s, err := b.Start(t.Context(), c.prompt, policy.Request{MaxTokens: 8}, 0)
		if err != nil {
			t.Fatal(err)
		}
		if _, err = drain(s); c.full != errors.Is(err, errMemory) || !c.full && err != nil {
			t.Errorf("%d tokens, full %v: %v", len(c.prompt), c.full, err)
		}
	}
}
