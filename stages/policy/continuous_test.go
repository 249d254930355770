package policy_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"itool/stages/policy"
	"itool/stages/policy/kernel"
	"itool/stages/policy/kernel/cpu"
	"itool/stages/policy/model"
	"itool/stages/policy/policytest"
)

// watched is a device that records the largest number of rows of a product since its last reset.
type watched struct {
	kernel.Device
	most atomic.Int64
}

func (w *watched) MatMul(y, x kernel.Floats, m kernel.Matrix, t int, add bool) {
	for was := w.most.Load(); was < int64(t) && !w.most.CompareAndSwap(was, int64(t)); was = w.most.Load() {
	}
	w.Device.MatMul(y, x, m, t, add)
}

// largeFiles is a policy of 34 MB, too large for its sessions to decode separately.
var largeFiles = sync.OnceValue(func() fs.FS {
	return policytest.Shaped(1, model.Config{
		Family: model.Llama, HiddenSize: 128, IntermediateSize: 22_000, NumLayers: 1, NumHeads: 4, NumKVHeads: 2,
		HeadDim: 32, MaxPositions: policytest.ContextLength, RopeTheta: 10000, RMSNormEps: 1e-5, TieEmbeddings: true,
	})
})

func large(t testing.TB) (*policy.Policy, *watched) {
	t.Helper()
	dev, err := cpu.New(cpu.Options{})
	if err != nil {
		t.Fatal(err)
	}
	w := &watched{Device: dev}
	p, err := policy.Open(largeFiles(), policy.Options{Device: w, SessionTokens: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return p, w
}

// at returns session i, whose prompt is different from those of the others.
func at(t testing.TB, p *policy.Policy, i int) *policy.Session {
	t.Helper()
	s, err := p.NewSession(p.Raw(fmt.Sprintf("This is conversation %d, of %s.", i, "many a word"[:i%11])))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// requests returns one to four requests of different lengths.
func requests(s *policy.Session, i, round int) []policy.Request {
	var reqs []policy.Request
	for j := range 1 + (i+round)%4 {
		reqs = append(reqs, policy.Request{
			From: s.Root(), Seed: uint64(100*i + 10*round + j), Temperature: 1, MaxTokens: 1 + (7*i+5*j+3*round)%12,
		})
	}
	return reqs
}

// whileDecoding draws one row until the others have returned, so that they certainly meet in a batch, and
// checks that the row gets what it gets alone.
func whileDecoding(t *testing.T, p *policy.Policy, others ...func()) {
	t.Helper()
	var all sync.WaitGroup
	for _, do := range others {
		all.Go(do)
	}
	returned := make(chan struct{})
	go func() {
		all.Wait()
		close(returned)
	}()
	s := at(t, p, 9)
	req := policy.Request{From: s.Root(), Seed: 9, Temperature: 1, Stop: func(int32) bool {
		select {
		case <-returned:
			return true
		default:
			return false
		}
	}}
	got := mustDraw(t, s, req)[0]
	<-returned
	alone := at(t, p, 9)
	req.From, req.Stop, req.MaxTokens = alone.Root(), nil, len(got.Tokens)
	want := mustDraw(t, alone, req)[0]
	if !slices.Equal(got.Tokens, want.Tokens) || !slices.Equal(got.LogProbs, want.LogProbs) {
		t.Errorf("\ntogether %v\nalone    %v", got, want)
	}
}

// Sessions that draw at the same time join and leave at any time, and get the bits that they get alone.
func TestSessionsDrawTogether(t *testing.T) {
	p, _ := large(t)
	const rounds = 3
	var others []func()
	for i := range 6 {
		s := at(t, p, i)
		var alone [rounds][]policy.Draw
		for round := range rounds {
			alone[round] = mustDraw(t, s, requests(s, i, round)...)
		}
		again := at(t, p, i)
		others = append(others, func() {
			for round := range rounds {
				draws, err := again.Draw(t.Context(), requests(again, i, round))
				if err != nil {
					t.Error(err)
					return
				}
				for j := range draws {
					if !same(draws[j], alone[round][j]) {
						t.Errorf("session %d, round %d, request %d:\ntogether %v\nalone    %v",
							i, round, j, draws[j], alone[round][j])
					}
				}
			}
		})
	}
	whileDecoding(t, p, others...)
}

// Two sessions with one row each share products of two rows.
func TestSessionsShareOnePass(t *testing.T) {
	p, dev := large(t)
	sessions := []*policy.Session{at(t, p, 0), at(t, p, 1)}
	dev.most.Store(0) // prompts have more
	var all sync.WaitGroup
	for _, s := range sessions {
		all.Go(func() {
			stop := func(int32) bool { return dev.most.Load() == 2 }
			_, err := s.Draw(t.Context(), []policy.Request{{From: s.Root(), Temperature: 1, Stop: stop}})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if rows := dev.most.Load(); rows != 2 {
		t.Errorf("the largest pass had %d rows, want 2", rows)
	}
}

// An error in one session does not affect the others.
func TestFaultStaysInItsSession(t *testing.T) {
	p, _ := large(t)
	full, gone := at(t, p, 0), at(t, p, 1)
	ctx, cancel := context.WithCancel(t.Context())
	whileDecoding(t, p, func() {
		wide := make([]policy.Request, 20)
		for i := range wide {
			wide[i] = policy.Request{From: full.Root(), Seed: uint64(i), Temperature: 1}
		}
		before := full.Tokens()
		if _, err := full.Draw(t.Context(), wide); !errors.Is(err, policy.ErrFull) {
			t.Errorf("got %v, want ErrFull", err)
		}
		if full.Tokens() != before {
			t.Errorf("%d tokens stayed in the cache", full.Tokens()-before)
		}
	}, func() {
		req := policy.Request{From: gone.Root(), Temperature: 1, Stop: func(int32) bool { cancel(); return false }}
		if _, err := gone.Draw(ctx, []policy.Request{req}); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v, want Canceled", err)
		}
	})
}

// A panic in one session leaves no goroutine waiting: the others of the batch get an error, and later draws
// work as before.
func TestPanicInOneSession(t *testing.T) {
	p, dev := large(t)
	sessions := []*policy.Session{at(t, p, 0), at(t, p, 1), at(t, p, 2)}
	dev.most.Store(0)
	var all sync.WaitGroup
	var panics, errs atomic.Int64
	for i, s := range sessions {
		all.Go(func() {
			defer func() {
				if recover() != nil {
					panics.Add(1)
				}
			}()
			stop := func(int32) bool { return false }
			if i == 1 {
				stop = func(int32) bool {
					if dev.most.Load() == 3 {
						panic("a bug")
					}
					return false
				}
			}
			_, err := s.Draw(t.Context(), []policy.Request{{From: s.Root(), Temperature: 1, Stop: stop}})
			if err != nil {
				errs.Add(1)
			}
		})
	}
	all.Wait()
	if panics.Load() != 1 || errs.Load() != 2 {
		t.Errorf("%d panics, %d errors; want 1, 2", panics.Load(), errs.Load())
	}
	whileDecoding(t, p)
}

// BenchmarkSessions decodes several trees of four rows at the same time, as the slots of a worker do.
func BenchmarkSessions(b *testing.B) {
	for name, fsys := range map[string]fs.FS{"demo": policytest.Demo(1), "33M": policytest.Shaped(1, model.Config{
		Family: model.Llama, HiddenSize: 448, IntermediateSize: 1280, NumLayers: 12, NumHeads: 14, NumKVHeads: 2,
		HeadDim: 32, VocabSize: 16384, MaxPositions: policytest.ContextLength, RopeTheta: 10000, RMSNormEps: 1e-5,
		TieEmbeddings: true,
	})} {
		p, err := policy.Open(fsys, policy.Options{})
		if err != nil {
			b.Fatal(err)
		}
		for _, trees := range []int{1, 2, 4, 8} {
			b.Run(fmt.Sprintf("%s/trees=%d", name, trees), func(b *testing.B) {
				var drawn atomic.Int64
				for b.Loop() {
					var all sync.WaitGroup
					for i := range trees {
						s := at(b, p, i)
						all.Go(func() {
							var reqs []policy.Request
							for j := range 4 {
								reqs = append(reqs, policy.Request{
									From: s.Root(), Seed: uint64(4*i + j), Temperature: 1, MaxTokens: 24,
								})
							}
							draws, err := s.Draw(b.Context(), reqs)
							if err != nil {
								b.Error(err)
							}
							for _, d := range draws {
								drawn.Add(int64(len(d.Tokens)))
							}
						})
					}
					all.Wait()
				}
				b.ReportMetric(float64(drawn.Load())/b.Elapsed().Seconds(), "tokens/s")
			})
		}
	}
}
