package line_test

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"itool/ops/courier"
	"itool/ops/courier/couriertest"
	"itool/ops/line"
	"itool/ops/worker"
	"itool/schemas"
	"itool/stages"
)

// doer is a stage made of a function that answers at once, so that whole runs take a second. The
// keeper needs no engine.
type doer struct {
	spec stages.Spec
	do   func(in stages.Input) (schemas.Batch, error)
}

func (d doer) Spec() stages.Spec { return d.spec }
func (d doer) Process(_ context.Context, in stages.Input, out stages.Output) error {
	b, err := d.do(in)
	if err != nil {
		return err
	}
	return out.Result(b)
}

func stage[In, Out schemas.Record](spec stages.Spec, do func(in stages.Input, rows []In) ([]Out, error)) stages.Stage {
	var o Out
	spec.NoPolicy, spec.Schema = true, o.Schema()
	if !spec.Gather {
		var i In
		spec.Reads = i.Schema()
	}
	return doer{spec, func(in stages.Input) (schemas.Batch, error) {
		rows, err := stages.Rows[In](in.Batches)
		if err != nil {
			return schemas.Batch{}, err
		}
		answer, err := do(in, rows)
		if err != nil {
			return schemas.Batch{}, err
		}
		return schemas.Encode(in.Header, answer)
	}}
}

// world has what the tests change about the stages.
type world struct {
	heldOut          string // part of every fifth example, "" = test
	dropped, guardAt int
	reason           string // of the dropped rows; "": no_answer
	failing          string // ID of an example whose expansion is rejected
	updateFails      bool
	cut              int32    // of a hundred answers to validation examples
	calls            sync.Map // "<stage>.<round>.<key>" → times processed
}

// table is the real line with functions in the place of its stages.
func (w *world) table() line.Table {
	table := line.Rows(nil)
	for i := range table {
		table[i].Stage = w.stage(table[i].Spec())
	}
	return table
}

func (w *world) line() []stages.Stage { return w.table().Stages() }

func (w *world) stage(spec stages.Spec) stages.Stage {
	switch spec.Name {
	case "split":
		return stage(spec, w.split)
	case "warmup":
		return stage(spec, func(stages.Input, []schemas.Example) ([]schemas.Policy, error) {
			return trained("p0", schemas.StatusTrained), nil
		})
	case "score":
		return stage(spec, func(_ stages.Input, exs []schemas.Example) (out []schemas.Score, _ error) {
			for _, ex := range exs {
				out = append(out, schemas.Score{ExampleID: ex.ID})
			}
			return out, nil
		})
	case "select":
		return stage(spec, func(_ stages.Input, s []schemas.Score) (out []schemas.Selection, _ error) {
			for i, x := range s {
				out = append(out, schemas.Selection{
					ExampleID: x.ExampleID, Selected: i%3 == 0,
					Answers: 100, AnswersCut: w.cut, AnswersLimit: 64, ReferenceTokens: 100,
				})
			}
			return out, nil
		})
	case "expand":
		return stage(spec, w.expand)
	case "filter":
		return stage(spec, func(_ stages.Input, c []schemas.Candidate) ([]schemas.Pair, error) {
			return []schemas.Pair{{ExampleID: c[0].ExampleID, ChosenQ: c[0].Q}}, nil
		})
	case "update":
		return stage(spec, w.update)
	case "evaluate":
		return stage(spec, func(_ stages.Input, exs []schemas.Example) (out []schemas.Verdict, _ error) {
			for _, ex := range exs {
				out = append(out, schemas.Verdict{ExampleID: ex.ID, Part: ex.Part})
			}
			return out, nil
		})
	}
	panic("the tests do not know the stage " + spec.Name)
}

func (w *world) split(_ stages.Input, s []schemas.Shard) (out []schemas.Example, _ error) {
	for i := range s[0].Rows {
		ex := schemas.Example{ID: fmt.Sprintf("%s-%05d", s[0].Key, i), Part: schemas.PartTrain, Replay: i%2 == 0}
		switch {
		case int(i) < w.dropped:
			ex.Part, ex.Replay = schemas.PartDropped, false
			ex.Reason, ex.Detail = cmp.Or(w.reason, "no_answer"), "row 0: no answer"
		case i%5 == 4:
			ex.Part, ex.Replay = cmp.Or(w.heldOut, schemas.PartTest), false
		}
		out = append(out, ex)
	}
	return out, nil
}

func (w *world) expand(in stages.Input, exs []schemas.Example) ([]schemas.Candidate, error) {
	call := fmt.Sprintf("expand.%d.%s", in.Header.Round, in.Header.Key)
	n, _ := w.calls.LoadOrStore(call, 0)
	w.calls.Store(call, n.(int)+1)
	if exs[0].ID == w.failing {
		return nil, stages.Reject(fmt.Errorf("cannot expand %s", exs[0].ID))
	}
	return []schemas.Candidate{{Parent: -1, ExampleID: exs[0].ID, Q: float64(in.Header.Seed % 1000)}}, nil
}

func (w *world) update(in stages.Input, p []schemas.Pair) ([]schemas.Policy, error) {
	if w.updateFails {
		return nil, stages.Reject(fmt.Errorf("no memory"))
	}
	status := schemas.StatusTrained
	if in.Header.Round+1 == w.guardAt {
		status = schemas.StatusGuard
	}
	return trained(fmt.Sprintf("p%d-%d", in.Header.Round+1, len(p)), status), nil
}

func trained(checkpoint, status string) []schemas.Policy {
	return []schemas.Policy{{Checkpoint: checkpoint, Status: status, Metrics: "{}", Curve: "[]"}}
}

// replace puts a function in the place of one stage.
func replace[In, Out schemas.Record](
	s []stages.Stage, name string, do func(in stages.Input, rows []In) ([]Out, error),
) {
	for i := range s {
		if s[i].Spec().Name == name {
			s[i] = stage(s[i].Spec(), do)
		}
	}
}

func start(t *testing.T, c *courier.Courier, cfg line.Config) {
	t.Helper()
	section, err := json.Marshal(map[string]any{"line": cfg})
	if err != nil {
		t.Fatal(err)
	}
	shards, err := json.Marshal([]schemas.Shard{{Key: "s0", Rows: 40}, {Key: "s1", Rows: 23}})
	if err != nil {
		t.Fatal(err)
	}
	b, err := schemas.Encode(schemas.Header{Run: "r", Key: schemas.KeyRun}, []schemas.Run{
		{Name: "r", Seed: 5, Config: string(section), ConfigDigest: "cfg", Base: "base", Dataset: string(shards)},
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Broker.Start(t.Context(), "r", b.Header.Map(), b.Body); err != nil {
		t.Fatal(err)
	}
}

func work(t *testing.T, c *courier.Courier, w *world) {
	t.Helper()
	workOn(t, c, w.line())
}

func workOn(t *testing.T, c *courier.Courier, s []stages.Stage) {
	t.Helper()
	workIn(t, c, s, 3)
}

func workIn(t *testing.T, c *courier.Courier, s []stages.Stage, slots int) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wk := &worker.Worker{
		Courier: c, Stages: s, Name: "w", Slots: slots, Log: quiet, Awaits: line.Rows(nil).Awaits,
		RetryPause: 50 * time.Millisecond,
	}
	wg.Go(func() {
		if err := wk.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
}

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// keep steps the run until it ends or stalls. Every step is done by several new keepers at once, which
// remember nothing: the records must not depend on that.
func keep(t *testing.T, c *courier.Courier, keepers int) line.State {
	t.Helper()
	return keepLine(t, c, keepers, nil)
}

func keepLine(t *testing.T, c *courier.Courier, keepers int, table line.Table) line.State {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline) && !t.Failed(); {
		states := make([]line.State, keepers)
		var wg sync.WaitGroup
		for i := range keepers {
			wg.Go(func() {
				k := &line.Keeper{Courier: c, Worker: "k", Line: table, Log: quiet}
				for m, err := range c.Broker.Started(t.Context()) {
					if err != nil {
						t.Error(err)
						return
					}
					if states[i], err = k.Step(t.Context(), m); err != nil {
						t.Error(err)
					}
				}
			})
		}
		wg.Wait()
		for _, s := range states {
			if s.Ended || s.Stalled != "" {
				return s
			}
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("the run does not end, or failed")
	return line.State{}
}

// dump lists every record of the run with its digest.
func dump(t *testing.T, c *courier.Courier) []string {
	t.Helper()
	var out []string
	for m, err := range c.Broker.List(t.Context(), "r", "*.*.*") {
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, m.Address.String()+" "+m.Header["itool-sha256"]+" "+m.Header["itool-seed"])
	}
	sort.Strings(out)
	return out
}

func TestManyForgetfulKeepersLeaveTheSameRecords(t *testing.T) {
	cfg := line.Default()
	cfg.BatchRows = 8
	var first []string
	for _, keepers := range []int{1, 3} {
		c := couriertest.Open(t)
		w := &world{}
		start(t, c, cfg)
		work(t, c, w)
		s := keep(t, c, keepers)
		if s.Status != "done" || s.Detail != "" {
			t.Fatalf("%d keepers: %+v", keepers, s)
		}
		got := dump(t, c)
		if first == nil {
			first = got
		}
		if !slices.Equal(got, first) {
			t.Errorf("%d keepers left other records:\n%s\nthan one:\n%s",
				keepers, strings.Join(got, "\n"), strings.Join(first, "\n"))
		}
		end, err := c.End(t.Context(), "r")
		if err != nil || end.Rounds != 3 {
			t.Errorf("end: %+v, %v", end, err)
		}
		v, err := line.Rows(nil).Look(t.Context(), c, "r")
		if err != nil {
			t.Fatal(err)
		}
		seen := 0
		for _, r := range v.Rounds {
			if seen++; r.Done != r.Total || !r.Gathered {
				t.Errorf("%+v is not closed", r)
			}
		}
		// Examples, scores and pairs of three rounds, verdicts of five policies.
		if want := 1 + 3*2 + 5; seen != want {
			t.Errorf("%d rounds, want %d: %+v", seen, want, v.Rounds)
		}
		w.calls.Range(func(k, n any) bool {
			if n.(int) != 1 {
				t.Errorf("%v was processed %v times", k, n)
			}
			return true
		})
	}
}

func TestHowRunsEnd(t *testing.T) {
	for name, c := range map[string]struct {
		world   *world
		cfg     func(*line.Config)
		status  string
		detail  string
		stalled string
	}{
		"rows that were not wanted": {world: &world{dropped: 5, reason: "not_drawn"}, status: "done"},
		"too many dropped rows": {world: &world{dropped: 5},
			status: "failed", detail: "no_answer (first: row 0: no answer)"},
		"the guard stops":     {world: &world{guardAt: 2}, status: schemas.StatusGuard},
		"no rounds":           {cfg: func(c *line.Config) { c.Rounds = 0 }, status: "done"},
		"nothing to evaluate": {cfg: func(c *line.Config) { c.Evaluate = "none" }, status: "done"},
		"an update that is given up": {world: &world{updateFails: true},
			status: "failed", detail: "update gave up round 0: no memory"},
		"an item fails, full quorum": {world: &world{failing: "s0-00000"}, stalled: "1 of"},
		"an item fails, lower quorum": {world: &world{failing: "s0-00000"},
			cfg: func(c *line.Config) { c.Quorum = 0.5 }, status: "done"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cr := couriertest.Open(t)
			cfg := line.Default()
			if c.cfg != nil {
				c.cfg(&cfg)
			}
			start(t, cr, cfg)
			w := c.world
			if w == nil {
				w = &world{}
			}
			work(t, cr, w)
			s := keep(t, cr, 1)
			said := strings.Contains(s.Detail, c.detail) && strings.Contains(s.Stalled, c.stalled)
			if s.Status != c.status || !said || (c.stalled == "") != (s.Stalled == "") {
				t.Errorf("got %+v, want %q with %q, stalled %q", s, c.status, c.detail, c.stalled)
			}
		})
	}
}

// If nothing is held out, accuracy is measured on validation.
func TestAutoEvaluatesValidationIfNothingIsHeldOut(t *testing.T) {
	for name, c := range map[string]struct{ share, want string }{
		"a held-out part":  {"test", "test"},
		"no held-out part": {"validation", "validation"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cr := couriertest.Open(t)
			start(t, cr, line.Default())
			work(t, cr, &world{heldOut: c.share})
			if s := keep(t, cr, 1); s.Status != "done" {
				t.Fatalf("got %+v", s)
			}
			rows, _, err := courier.Rows[schemas.Verdict](t.Context(), cr, "r", "verdict", 0, "c000000")
			if err != nil || len(rows) == 0 || rows[0].Part != c.want {
				t.Errorf("got %+v, %v, want verdicts on %s", rows, err, c.want)
			}
		})
	}
}

func TestCancel(t *testing.T) {
	c := couriertest.Open(t)
	start(t, c, line.Default())
	k := &line.Keeper{Courier: c, Worker: "k", Log: quiet}
	step := func() (s line.State) {
		for m, err := range c.Broker.Started(t.Context()) {
			if err == nil {
				s, err = k.Step(t.Context(), m)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		return s
	}
	if s := step(); s.Ended {
		t.Fatalf("got %+v before anything ran", s)
	}
	if err := line.Cancel(t.Context(), c, "r"); err != nil {
		t.Fatal(err)
	}
	if s := step(); s.Status != "cancelled" {
		t.Errorf("got %+v", s)
	}
}
