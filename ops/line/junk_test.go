package line_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"itool/broker"
	"itool/ops/courier"
	"itool/ops/courier/couriertest"
	"itool/ops/line"
	"itool/schemas"
	"itool/stages"
)

// litter publishes foreign messages: n under keys of their own, and one in the place of a task that the keeper
// has not published yet.
func litter(t *testing.T, c *courier.Courier, n int) {
	t.Helper()
	put := func(record string, round int, key string, h map[string]string, body []byte) {
		at := broker.Address{Run: "r", Record: record, Round: round, Key: key}
		if _, err := c.Broker.Publish(t.Context(), at, h, body); err != nil {
			t.Error(err)
		}
	}
	for i := range n {
		for _, record := range []string{"shard", "example", "buffer", "root", "candidate", "pair", "case", "score",
			"verdict", "failed", "refused", "manifest"} {
			put(record, i%2, fmt.Sprintf("junk%03d", i), nil, []byte("junk"))
		}
		// Sound messages, of another program that took the subjects for its own.
		key := fmt.Sprintf("other%03d", i)
		b, err := schemas.Encode(schemas.Header{Run: "r", Key: key, Config: "cfg", Policy: "p0"},
			[]schemas.Example{{ID: key, Part: schemas.PartTrain}})
		if err != nil {
			t.Fatal(err)
		}
		put("root", 0, key, b.Header.Map(), b.Body)
	}
	put("root", 0, "s0-00000", nil, []byte("in the place of a task"))
	put("buffer", 0, "b000000", nil, []byte("in the place of a task"))
	put("pair", 0, "s0-00000", nil, []byte("in the place of a result"))
}

// withoutJunk leaves out what litter published and what keepers refused.
func withoutJunk(records []string) []string {
	return slices.DeleteFunc(records, func(r string) bool {
		return strings.Contains(r, ".junk") || strings.Contains(r, ".other") || strings.Contains(r, ".refused.")
	})
}

// calm is what an undisturbed run leaves.
func calm(t *testing.T, cfg line.Config) []string {
	t.Helper()
	c := couriertest.Open(t)
	start(t, c, cfg)
	work(t, c, &world{})
	if s := keep(t, c, 1); s.Status != "done" {
		t.Fatalf("the calm run: %+v", s)
	}
	return dump(t, c)
}

func wantSame(t *testing.T, got, want []string) {
	t.Helper()
	if got = withoutJunk(got); !slices.Equal(got, want) {
		t.Errorf("%d records, want %d; the first that differ: %v", len(got), len(want), firstDifference(got, want))
	}
}

func firstDifference(a, b []string) []string {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return []string{a[i], b[i]}
		}
	}
	return nil
}

// TestForeignMessagesStallNothing: what is not in a manifest is counted and ignored, and what takes the place
// of a task or a result is taken out. The run leaves the records of a calm one.
func TestForeignMessagesStallNothing(t *testing.T) {
	cfg := line.Default()
	cfg.Rounds, cfg.BatchRows = 2, 8
	want := calm(t, cfg)
	c := couriertest.Open(t)
	if err := c.Broker.CreateRun(t.Context(), "r", 1<<30); err != nil {
		t.Fatal(err)
	}
	litter(t, c, 20)
	start(t, c, cfg)
	w := &world{}
	work(t, c, w)
	state := keeper(t, c, 50*time.Millisecond)
	eventually(t, "the run ends", func() bool { return state("r").Ended || state("r").Stalled != "" })
	if s := state("r"); s.Status != "done" {
		t.Fatalf("got %+v", s)
	}
	wantSame(t, dump(t, c), want)
	w.calls.Range(func(k, _ any) bool {
		if strings.Contains(k.(string), "other") || strings.Contains(k.(string), "junk") {
			t.Errorf("%v was worked on", k)
		}
		return true
	})
}

// saboteur is a stage beside which another client publishes wrong results of the same items: it answers the
// first times of some items.
type saboteur struct {
	stages.Stage
	c     *courier.Courier
	wrong func(in stages.Input) (header map[string]string, body []byte)
	times int // per item
	mu    sync.Mutex
	done  map[string]int
}

func (s *saboteur) Process(ctx context.Context, in stages.Input, out stages.Output) error {
	h := in.Header
	s.mu.Lock()
	n := s.done[h.Key]
	s.done[h.Key]++
	s.mu.Unlock()
	if n < s.times && h.Round == 0 && strings.HasSuffix(h.Key, "0") {
		header, body := s.wrong(in)
		at := broker.Address{Run: h.Run, Record: s.Spec().Writes, Round: h.Round, Key: h.Key}
		if _, err := s.c.Broker.Publish(ctx, at, header, body); err != nil {
			return err
		}
	}
	return s.Stage.Process(ctx, in, out)
}

// wrongPairs are results that are none, and what the refusal says.
func wrongResults(t *testing.T) map[string]struct {
	stage string
	make  func(in stages.Input) (map[string]string, []byte)
	want  string
} {
	header := func(in stages.Input, h schemas.Header) map[string]string {
		h.Run, h.Round, h.Key, h.Policy, h.Config = in.Header.Run, in.Header.Round, in.Header.Key,
			in.Header.Policy, in.Header.Config
		h.Input, h.Worker = in.Header.SHA256, "python/1"
		return h.Map()
	}
	encode := func(rows any) schemas.Batch {
		var b schemas.Batch
		var err error
		switch rows := rows.(type) {
		case []schemas.Pair:
			b, err = schemas.Encode(schemas.Header{}, rows)
		case []schemas.Candidate:
			b, err = schemas.Encode(schemas.Header{}, rows)
		case []schemas.Score:
			b, err = schemas.Encode(schemas.Header{}, rows)
		}
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	type wrong = struct {
		stage string
		make  func(in stages.Input) (map[string]string, []byte)
		want  string
	}
	sound := func(stage string, rows func(in stages.Input) any, want string) wrong {
		return wrong{stage, func(in stages.Input) (map[string]string, []byte) {
			b := encode(rows(in))
			return header(in, b.Header), b.Body
		}, want}
	}
	return map[string]wrong{
		"half a stream": {"filter", func(in stages.Input) (map[string]string, []byte) {
			b := encode([]schemas.Pair{{ExampleID: in.Header.Key}})
			b.Header.SHA256 = ""
			return header(in, b.Header), b.Body[:len(b.Body)/2]
		}, "pair/v"},
		"a foreign schema": sound("filter", func(in stages.Input) any {
			return []schemas.Score{{ExampleID: in.Header.Key}}
		}, "the batch holds score/v"),
		"another example's pairs": sound("filter", func(stages.Input) any {
			return []schemas.Pair{{ExampleID: "another"}}
		}, `example "another"`),
		"another example's tree": sound("expand", func(stages.Input) any {
			return []schemas.Candidate{{Parent: -1, ExampleID: "another"}}
		}, `example "another"`),
		"no headers": {"expand", func(stages.Input) (map[string]string, []byte) { return nil, []byte("junk") },
			"schema"},
		"half a batch of scores": sound("score", func(in stages.Input) any {
			return []schemas.Score{}
		}, "has no row"),
		"another run's header": {"filter", func(in stages.Input) (map[string]string, []byte) {
			b := encode([]schemas.Pair{{ExampleID: in.Header.Key}})
			h := header(in, b.Header)
			h["itool-config"] = "another"
			return h, b.Body
		}, "config"},
	}
}

// TestAWrongResultIsRefusedAndMadeAgain: its writer is named, its item is done again, and the run leaves the
// records of a calm one.
func TestAWrongResultIsRefusedAndMadeAgain(t *testing.T) {
	cfg := line.Default()
	cfg.Rounds, cfg.BatchRows = 1, 8
	want := calm(t, cfg)
	for name, c := range wrongResults(t) {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cr := couriertest.Open(t)
			start(t, cr, cfg)
			s := (&world{}).line()
			for i := range s {
				if s[i].Spec().Name == c.stage {
					s[i] = &saboteur{Stage: s[i], c: cr, wrong: c.make, times: 2, done: map[string]int{}}
				}
			}
			workOn(t, cr, s)
			state := keeper(t, cr, 50*time.Millisecond)
			eventually(t, "the run ends", func() bool {
				return state("r").Ended || state("r").Stalled != ""
			})
			if s := state("r"); s.Status != "done" {
				t.Fatalf("got %+v", s)
			}
			wantSame(t, dump(t, cr), want)
			n := 0
			for m, err := range cr.Broker.List(t.Context(), "r", "refused.*.*") {
				if err != nil {
					t.Fatal(err)
				}
				rows, _, err := courier.Rows[schemas.Failed](t.Context(), cr, "r", "refused", m.Round, m.Key)
				if err != nil || len(rows) != 1 {
					t.Fatalf("%+v, %v", rows, err)
				}
				n++
				f := rows[0]
				if f.Worker == "w" && strings.Contains(f.Error, "another candidate") {
					continue // filter answered the wrong tree before it was refused
				}
				if f.Stage != c.stage || f.Reason != schemas.ReasonInvalid || !strings.Contains(f.Error, c.want) ||
					name != "no headers" && f.Worker != "python/1" {
					t.Errorf("the refusal says %+v, want %q", f, c.want)
				}
			}
			if n == 0 {
				t.Error("nothing was refused; the test proves nothing")
			}
			t.Logf("%d results were refused", n)
		})
	}
}

// TestAlwaysWrongResultsGiveTheItemUp: the attempts are bounded, and the failure names writer and reason.
func TestAlwaysWrongResultsGiveTheItemUp(t *testing.T) {
	cr := couriertest.Open(t)
	cfg := line.Default()
	cfg.Rounds, cfg.BatchRows = 1, 8
	start(t, cr, cfg)
	s := (&world{}).line()
	wrong := wrongResults(t)["half a stream"]
	for i := range s {
		if s[i].Spec().Name == wrong.stage {
			s[i] = &saboteur{Stage: s[i], c: cr, wrong: wrong.make, times: 1 << 30, done: map[string]int{}}
		}
	}
	workOn(t, cr, s)
	state := keeper(t, cr, 50*time.Millisecond)
	eventually(t, "the run stalls", func() bool { return state("r").Stalled != "" })
	n := 0
	for m, err := range cr.Broker.List(t.Context(), "r", "failed.0.*") {
		if err != nil {
			t.Fatal(err)
		}
		rows, _, err := courier.Rows[schemas.Failed](t.Context(), cr, "r", "failed", 0, m.Key)
		if err != nil || len(rows) != 1 {
			t.Fatalf("%+v, %v", rows, err)
		}
		n++
		if f := rows[0]; f.Attempts != 5 || f.Stage != "filter" || !strings.Contains(f.Error, "python/1") ||
			!strings.Contains(f.Error, "5 results were refused") {
			t.Errorf("got %+v", f)
		}
		at := broker.Address{Run: "r", Record: "pair", Key: m.Key}
		if _, err := cr.Broker.Get(t.Context(), at); !errors.Is(err, broker.ErrNotExist) {
			t.Errorf("the refused result of %s is in the stream: %v", m.Key, err)
		}
	}
	if n == 0 {
		t.Errorf("no item was given up: %+v", state("r"))
	}
}

// TestKeepersDieWhileTheyRefuse: wherever a keeper dies, the next one goes on.
func TestKeepersDieWhileTheyRefuse(t *testing.T) {
	if testing.Short() {
		t.Skip("lets keepers die a thousand times, for a minute; the full test run does it")
	}
	cfg := line.Default()
	cfg.Rounds, cfg.BatchRows = 1, 8
	want := calm(t, cfg)
	cr := couriertest.Open(t)
	start(t, cr, cfg)
	s := (&world{}).line()
	for _, wrong := range []string{"half a stream", "no headers"} {
		c := wrongResults(t)[wrong]
		for i := range s {
			if s[i].Spec().Name == c.stage {
				s[i] = &saboteur{Stage: s[i], c: cr, wrong: c.make, times: 1, done: map[string]int{}}
			}
		}
	}
	workOn(t, cr, s)
	rng := rand.New(rand.NewPCG(5, 6))
	ended, deaths := line.State{}, 0
	for deadline := time.Now().Add(90 * time.Second); !ended.Ended; deaths++ {
		if time.Now().After(deadline) || ended.Stalled != "" {
			t.Fatalf("after %d deaths the run does not end: %+v", deaths, ended)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Duration(5+rng.IntN(60))*time.Millisecond)
		k := &line.Keeper{Courier: cr, Worker: "k", Log: quiet}
		_ = k.Run(ctx, 10*time.Millisecond, func(s line.State) {
			if ended = s; s.Ended {
				cancel()
			}
		})
		cancel()
	}
	wantSame(t, dump(t, cr), want)
	t.Logf("%d deaths", deaths)
}

// gatherSaboteur publishes junk in the place of the one result of a round: before the stage does, or always, and the
// stage does not.
type gatherSaboteur struct {
	stages.Stage
	c     *courier.Courier
	times int // of junk before the stage's own result; 0: always, and no result of its own
	n     int
}

func (s *gatherSaboteur) Process(ctx context.Context, in stages.Input, out stages.Output) error {
	if spec := s.Spec(); (s.n < s.times || s.times == 0) && in.Header.Round == 0 {
		at := broker.Address{Run: in.Header.Run, Record: spec.Writes, Key: spec.Writes}
		if spec.NextRound {
			at.Round++
		}
		s.n++
		if _, err := s.c.Broker.Publish(ctx, at, nil, []byte("junk")); err != nil {
			return err
		}
		if s.times == 0 { // a quick keeper has removed the junk by now, and would take the stage's own result
			return errors.New("the saboteur has published")
		}
	}
	return s.Stage.Process(ctx, in, out)
}

// TestAWrongResultOfARoundIsMadeAgain: also what a stage answers to a whole round with.
func TestAWrongResultOfARoundIsMadeAgain(t *testing.T) {
	cfg := line.Default()
	cfg.Rounds, cfg.BatchRows = 1, 8
	want := calm(t, cfg)
	for _, name := range []string{"warmup", "select", "update"} {
		for _, times := range []int{1, 0} {
			t.Run(fmt.Sprint(name, times), func(t *testing.T) {
				t.Parallel()
				cr := couriertest.Open(t)
				start(t, cr, cfg)
				s := (&world{}).line()
				for i := range s {
					if s[i].Spec().Name == name {
						s[i] = &gatherSaboteur{Stage: s[i], c: cr, times: times}
					}
				}
				workOn(t, cr, s)
				state := keeper(t, cr, 50*time.Millisecond)
				eventually(t, "the run ends", func() bool {
					return state("r").Ended || state("r").Stalled != ""
				})
				got := state("r")
				if times == 1 {
					if got.Status != "done" {
						t.Fatalf("got %+v", got)
					}
					wantSame(t, dump(t, cr), want)
				} else if got.Status != "failed" || !strings.Contains(got.Detail, "were refused") {
					t.Errorf("got %+v, want it failed after some refusals", got)
				}
			})
		}
	}
}
