package lab_test

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"itool/ops/config"
	"itool/ops/courier"
	"itool/ops/courier/couriertest"
	"itool/ops/lab"
	"itool/ops/line"
	"itool/ops/synth"
	"itool/ops/worker"
	"itool/stages/policy"
	"itool/stages/policy/policytest"
)

const device = "cpu/test"

// site is a broker and a store with a keeper and a worker at work.
type site struct {
	*courier.Courier
	dir    string // of the lab
	engine *policy.Engine
	states chan line.State
}

func open(t *testing.T) site { return openWith(t, 0) }

// openWith bounds what the broker may keep, in bytes; 0: it does not.
func openWith(t *testing.T, most int64) site {
	t.Helper()
	engine, err := policy.NewEngine(policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := site{couriertest.Start(t, most).Connect(t), t.TempDir(), engine, make(chan line.State)}
	log := slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithCancel(context.Background())
	w := &worker.Worker{Courier: s.Courier, Stages: line.Stages(engine), Name: "w itool test " + device, Slots: 2, AckWait: 3 * time.Second, Log: log}
	k := &line.Keeper{Courier: s.Courier, Worker: "k", AckWait: 3 * time.Second, Log: log}
	done := make(chan error, 2)
	go func() { done <- w.Run(ctx) }()
	go func() {
		done <- k.Run(ctx, 200*time.Millisecond, func(st line.State) {
			select {
			case s.states <- st:
			case <-ctx.Done():
			}
		})
	}()
	t.Cleanup(func() {
		cancel()
		for range 2 {
			<-done
		}
	})
	return s
}

// await reads what the keeper says until the run has ended.
func (s site) await(ctx context.Context, run string) (line.State, error) {
	for {
		select {
		case <-ctx.Done():
			return line.State{}, ctx.Err()
		case st := <-s.states:
			if st.Stalled != "" {
				return st, fmt.Errorf("run %s is stalled: %s", st.Run, st.Stalled)
			}
			if st.Run == run && st.Ended {
				return st, nil
			}
		}
	}
}

// do runs a specification to its end.
func (s site) do(t *testing.T, spec string, base fs.FS, data string) (*lab.Plan, *lab.Result) {
	t.Helper()
	p := plan(t, spec)
	l := &lab.Lab{Plan: p, Courier: s.Courier, Engine: s.engine, Base: base, Files: []string{data}, Dir: s.dir, Device: device, AtOnce: 1, Log: slog.New(slog.DiscardHandler), Await: s.await}
	if err := l.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	r, err := lab.Measure(t.Context(), s.Courier, s.dir, p)
	if err != nil {
		t.Fatal(err)
	}
	return p, r
}

func plan(t *testing.T, spec string) *lab.Plan {
	t.Helper()
	s, err := lab.Read(write(t, spec))
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Plan(config.Default())
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func write(t *testing.T, spec string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "spec.yaml")
	if err := os.WriteFile(file, []byte(spec), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func dataset(t *testing.T, rows int) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "data.jsonl")
	cfg := synth.Default()
	cfg.Rows, cfg.Tools = rows, 2
	made, err := synth.Make(cfg)
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := synth.Write(f, made); err != nil {
		t.Fatal(err)
	}
	return file
}

// head makes runs of the tiny model take a second. Its answers are noise, so pairs come
// from their probabilities: there is something to update on.
const head = `
name: tiny
question: Does anything differ?
base: base
datasets: [data.jsonl]
set:
  split.test_share: 0.2
  warmup: {epochs: 1, batch_size: 8}
  line: {rounds: 2, evaluate_rows: 6}
  expand: {preset: samples, width: 3, max_answer_tokens: 8}
  filter: {mode: paper, min_chosen_q: 0, min_q_difference: 0}
  select: {max_tokens: 8, max_trees: 4, judge_examples: 2}
  update: {guard_tokens: 8, guard_prompts: 4, min_pairs: 1, min_steps: 1, batch_size: 2}
  evaluate.max_tokens: 8
seeds: [3]
arms:
`

var arms = []string{
	"  - {name: full}\n",
	"  - {name: other loss, set: {update.loss: sft}}\n",
	"  - {name: one round, set: {line.rounds: 1}}\n",
	"  - {name: other search, set: {expand.width: 2}}\n",
	"  - {name: shuffled, set: {warmup.mode: shuffled, line.rounds: 0}}\n",
}

// record is all of a record that its readers go by.
type record struct{ sha, rows, schema, policy, input, seed, config, key, round string }

// records are those of a run, by subject, and how many were taken over.
func (s site) records(t *testing.T, run string) (all map[string]record, taken int) {
	t.Helper()
	all = map[string]record{}
	for m, err := range s.Broker.List(t.Context(), run, "*.*.*") {
		if err != nil {
			t.Fatal(err)
		}
		h := m.Header
		r := record{h["itool-sha256"], h["itool-rows"], h["itool-schema"], h["itool-policy"], h["itool-input"], h["itool-seed"], h["itool-config"], h["itool-key"], h["itool-round"]}
		if m.Record == "run" || m.Record == "policy" && m.Round < 0 { // these hold the time, or are the keeper's
			r.sha = ""
		}
		all[strings.TrimPrefix(m.Address.String(), "itool.run."+run+".")] = r
		if h[lab.HeaderReused] != "" {
			taken++
		}
	}
	return all, taken
}

// TestReuseChangesNothing: every arm has, record by record, what it has when it runs
// alone in a folder of its own; and what it could take over it did not compute.
func TestReuseChangesNothing(t *testing.T) {
	base, data := policytest.Tiny(1), dataset(t, 24)
	together := open(t)
	p, res := together.do(t, head+strings.Join(arms, ""), base, data)
	least := []int{0, 8, 9, 6, 2} // other loss: to the first pairs; one round: all; other search: to the selection; shuffled: examples, verdicts of the base
	for i, arm := range arms {
		name := p.Runs[i].Name
		got, taken := together.records(t, name)
		alone := open(t)
		alonePlan, aloneRes := alone.do(t, head+arm, base, data)
		want, none := alone.records(t, alonePlan.Runs[0].Name)
		if alonePlan.Runs[0].Name != name || none != 0 {
			t.Fatalf("%s: alone it is run %s with %d records taken over", name, alonePlan.Runs[0].Name, none)
		}
		for _, at := range slices.Sorted(maps.Keys(want)) {
			if got[at] != want[at] {
				t.Errorf("%s: %s is %+v, alone %+v", name, at, got[at], want[at])
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s: %d records, alone %d", name, len(got), len(want))
		}
		if taken < least[i] || i == 0 && taken != 0 {
			t.Errorf("%s: %d records were taken over, want at least %d", name, taken, least[i])
		}
		if w := res.Runs[i].Work; w.Reused != taken || w.Items+w.Reused != aloneRes.Runs[0].Work.Items {
			t.Errorf("%s: %d items computed and %d taken over are told, want %d of %d", name, w.Items, w.Reused, taken, aloneRes.Runs[0].Work.Items)
		}
	}
	adapters := map[string]bool{}
	for _, r := range res.Runs {
		if r.Status != "done" {
			t.Errorf("run %s: %s %s", r.Run, r.Status, r.Detail)
		}
		adapters[r.LastPolicy().Digest] = true
	}
	if err := res.HTML(io.Discard); err != nil {
		t.Error(err)
	}
	if len(adapters) != len(arms) {
		t.Errorf("%d adapters of %d arms: the arms do not differ, so this test shows nothing", len(adapters), len(arms))
	}
}

// TestRoom: runs that are done do not keep the room that they did not use, so that
// a disk which holds two quotas is enough for three runs.
func TestRoom(t *testing.T) {
	s, base := openWith(t, 40<<20), policytest.Tiny(1)
	spec := strings.Replace(head, "rounds: 2,", "rounds: 0, stream_max_bytes: 16777216,", 1) +
		"  - {name: a}\n  - {name: b, set: {warmup.rate: 0.002}}\n  - {name: c, set: {warmup.rate: 0.003}}\n"
	_, res := s.do(t, spec, base, dataset(t, 20))
	for _, r := range res.Runs {
		if r.Status != "done" {
			t.Errorf("run %s: %s %s", r.Run, r.Status, r.Detail)
		}
		used, err := s.Broker.Usage(t.Context(), r.Run)
		if err != nil {
			t.Fatal(err)
		}
		if used.QuotaBytes > 8<<20 || uint64(used.QuotaBytes) < used.Bytes {
			t.Errorf("run %s: %d bytes under a quota of %d", r.Run, used.Bytes, used.QuotaBytes)
		}
	}
}

// TestRoomOfTheStalled: a run that waits for a person keeps its quota, for it may go
// on.
func TestRoomOfTheStalled(t *testing.T) {
	s := open(t)
	p := plan(t, head+"  - {name: a, set: {line.stream_max_bytes: 16777216}}\n")
	l := &lab.Lab{
		Plan: p, Courier: s.Courier, Engine: s.engine, Base: policytest.Tiny(1), Files: []string{dataset(t, 20)}, Dir: s.dir, Device: device, AtOnce: 1,
		Log: slog.New(slog.DiscardHandler),
		Await: func(ctx context.Context, run string) (line.State, error) {
			return line.State{Run: run, Stalled: "a person must look"}, s.Broker.CreateRun(ctx, run, 16<<20)
		},
	}
	if err := l.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if used, err := s.Broker.Usage(t.Context(), p.Runs[0].Name); err != nil || used.QuotaBytes != 16<<20 {
		t.Errorf("a quota of %d bytes, %v: want the 16 MiB that it was given", used.QuotaBytes, err)
	}
}

// TestOtherData: runs are named after their settings. What was made from another
// dataset is refused, not reported as this one's.
func TestOtherData(t *testing.T) {
	s, base := open(t), policytest.Tiny(1)
	spec := head + "  - {name: sft, set: {line.rounds: 0}}\n"
	s.do(t, spec, base, dataset(t, 20))
	l := &lab.Lab{Plan: plan(t, spec), Courier: s.Courier, Engine: s.engine, Base: base, Files: []string{dataset(t, 21)}, Dir: s.dir, Device: device, AtOnce: 1,
		Log: slog.New(slog.DiscardHandler), Await: s.await}
	if err := l.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "another dataset or base") {
		t.Errorf("got %v, want that the dataset is another", err)
	}
}

// TestFilesByName: a test file that nobody published would hold nothing out.
func TestFilesByName(t *testing.T) {
	s := open(t)
	l := &lab.Lab{Plan: plan(t, strings.Replace(head, "split.test_share: 0.2", "split.test_files: [tset.jsonl]", 1)+"  - {name: a}\n"), Courier: s.Courier, Engine: s.engine,
		Base: policytest.Tiny(1), Files: []string{dataset(t, 20)}, Dir: s.dir, Device: device, AtOnce: 1, Log: slog.New(slog.DiscardHandler), Await: s.await}
	if err := l.Run(t.Context()); err == nil || !strings.Contains(err.Error(), `no published file is named "tset.jsonl"`) {
		t.Errorf("got %v, want that the file is named", err)
	}
}
