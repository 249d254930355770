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
	"itool/schemas"
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

// openWith limits the bytes that the broker may store; 0: no limit.
func openWith(t *testing.T, maxBytes int64) site {
	t.Helper()
	engine, err := policy.NewEngine(policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := site{couriertest.Start(t, maxBytes).Connect(t), t.TempDir(), engine, make(chan line.State)}
	log := slog.New(slog.DiscardHandler)
	ctx, cancel := context.WithCancel(context.Background())
	w := &worker.Worker{
		Courier: s.Courier, Stages: line.Stages(engine), Name: "w itool test " + device,
		Slots: 2, AckWait: 3 * time.Second, Log: log,
	}
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

// await reads the keeper's states until the run has ended.
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

// lab is a lab for a plan, on the site.
func (s site) lab(p *lab.Plan, base fs.FS, data string) *lab.Lab {
	return &lab.Lab{
		Plan: p, Courier: s.Courier, Engine: s.engine, Sources: []lab.Opened{{base, []string{data}}}, Dir: s.dir,
		Device: device, AtOnce: 1, Log: slog.New(slog.DiscardHandler), Await: s.await,
	}
}

// do runs all runs of a specification.
func (s site) do(t *testing.T, spec string, base fs.FS, data string) (*lab.Plan, *lab.Result) {
	t.Helper()
	p := plan(t, spec)
	if err := s.lab(p, base, data).Run(t.Context()); err != nil {
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

// head is a specification whose runs take a second each with the tiny model. Its answers are
// noise. The filter accepts nearly every pair, so that the update has something to train on.
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

// record holds everything of a record that its readers use.
type record struct{ sha, rows, schema, policy, input, seed, config, key, round string }

// records returns the records of a run, by subject, and how many of them are copies.
func (s site) records(t *testing.T, run string) (all map[string]record, reused int) {
	t.Helper()
	all = map[string]record{}
	for m, err := range s.Broker.List(t.Context(), run, "*.*.*") {
		if err != nil {
			t.Fatal(err)
		}
		h := m.Header
		r := record{
			h["itool-sha256"], h["itool-rows"], h["itool-schema"], h["itool-policy"], h["itool-input"],
			h["itool-seed"], h["itool-config"], h["itool-key"], h["itool-round"],
		}
		if m.Record == "run" || m.Record == "policy" && m.Round < 0 { // they contain the time
			r.sha = ""
		}
		all[strings.TrimPrefix(m.Address.String(), "itool.run."+run+".")] = r
		if h[lab.HeaderReused] != "" {
			reused++
		}
	}
	return all, reused
}

// TestReuseChangesNothing: every arm has the same records as if it ran alone in its own
// folder, and it did not compute the records that it could copy.
func TestReuseChangesNothing(t *testing.T) {
	base, data := policytest.Tiny(1), dataset(t, 24)
	together := open(t)
	compare := "compare:\n  - {pair: full - other loss, primary: true}\n  - full - shuffled\n"
	p, res := together.do(t, head+strings.Join(arms, "")+compare, base, data)
	checkSpent(t, res)
	// Of the other loss everything up to the first pairs is reused, of one round everything,
	// of the other search everything up to the selection, of shuffled the examples and the
	// verdicts on the base.
	atLeast := []int{0, 8, 9, 6, 2}
	for i, arm := range arms {
		name := p.Runs[i].Name
		got, reused := together.records(t, name)
		alone := open(t)
		alonePlan, aloneRes := alone.do(t, head+arm, base, data)
		want, none := alone.records(t, alonePlan.Runs[0].Name)
		if alonePlan.Runs[0].Name != name || none != 0 {
			t.Fatalf("%s: alone it is run %s with %d copied records", name, alonePlan.Runs[0].Name, none)
		}
		for _, at := range slices.Sorted(maps.Keys(want)) {
			if got[at] != want[at] {
				t.Errorf("%s: %s is %+v, alone %+v", name, at, got[at], want[at])
			}
		}
		if len(got) != len(want) {
			t.Errorf("%s: %d records, alone %d", name, len(got), len(want))
		}
		if reused < atLeast[i] || i == 0 && reused != 0 {
			t.Errorf("%s: %d records were reused, want at least %d", name, reused, atLeast[i])
		}
		all := aloneRes.Runs[0].Work.Items
		if w := res.Runs[i].Work; w.Reused != reused || w.Items+w.Reused != all {
			t.Errorf("%s: reports %d items computed and %d reused, want %d reused of %d",
				name, w.Items, w.Reused, reused, all)
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
		t.Errorf("%d adapters for %d arms: the arms do not differ, so this test proves nothing",
			len(adapters), len(arms))
	}
}

// TestCancelledIsReused: what a run had computed before it was cancelled, perhaps because its settings were wrong, is
// copied into a run that would compute the same.
func TestCancelledIsReused(t *testing.T) {
	base, data := policytest.Tiny(1), dataset(t, 24)
	s := open(t)
	l := s.lab(plan(t, head+"  - {name: full}\n"), base, data)
	l.Await = func(ctx context.Context, run string) (line.State, error) {
		for {
			n, err := s.Broker.Count(ctx, run, schemas.RecordPolicy+".0.*")
			if err != nil {
				return line.State{}, err
			}
			if n > 0 {
				break
			}
			<-s.states // the keeper waits for whoever reads them
		}
		if err := line.Cancel(ctx, s.Courier, run); err != nil {
			return line.State{}, err
		}
		return s.await(ctx, run)
	}
	if err := l.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	arm := "  - {name: full, set: {line.rounds: 1}}\n"
	p, res := s.do(t, head+arm, base, data)
	got, reused := s.records(t, p.Runs[0].Name)
	if res.Runs[0].Status != "done" || reused < 2 {
		t.Errorf("%s, %d records were reused, want the examples and the warm-up", res.Runs[0].Status, reused)
	}
	// The cancelled run was to have more in common with the next one, but has less.
	p2, _ := s.do(t, head+"  - {name: later, set: {evaluate.max_tokens: 9}}\n", base, data)
	if _, again := s.records(t, p2.Runs[0].Name); again <= reused {
		t.Errorf("%d records were reused, want more than the %d of the cancelled run", again, reused)
	}
	alone := open(t)
	alone.do(t, head+arm, base, data)
	want, _ := alone.records(t, p.Runs[0].Name)
	if !maps.Equal(got, want) {
		t.Errorf("got %v, alone %v", got, want)
	}
}

// checkSpent checks what the first difference says about both arms: one has the other's search.
func checkSpent(t *testing.T, res *lab.Result) {
	t.Helper()
	d, other := res.Differences[0], res.Differences[1]
	a, b := d.Spent[0], d.Spent[1]
	if a.Steps == 0 || a.Answers < 8 || a.Tokens <= a.Answers || b.Answers == 0 || other.Spent[1].Steps != 0 {
		t.Errorf("spent %+v and %+v, without rounds %+v", a, b, other.Spent[1])
	}
	if !d.Primary || other.Primary || d.Corrected != d.Difference.P || d.Difference.P <= 0 {
		t.Errorf("the only primary outcome has p %g, corrected %g", d.Difference.P, d.Corrected)
	}
}

// TestQuotaIsReleased: a run that is done gives back the quota that it did not use, so that
// three runs fit on a disk with room for two quotas.
func TestQuotaIsReleased(t *testing.T) {
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

// TestStalledKeepsItsQuota: a stalled run may go on later, so it keeps its quota.
func TestStalledKeepsItsQuota(t *testing.T) {
	s := open(t)
	p := plan(t, head+"  - {name: a, set: {line.stream_max_bytes: 16777216}}\n")
	l := s.lab(p, policytest.Tiny(1), dataset(t, 20))
	l.Await = func(ctx context.Context, run string) (line.State, error) {
		return line.State{Run: run, Stalled: "a person must look"}, s.Broker.CreateRun(ctx, run, 16<<20)
	}
	if err := l.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if used, err := s.Broker.Usage(t.Context(), p.Runs[0].Name); err != nil || used.QuotaBytes != 16<<20 {
		t.Errorf("the quota is %d bytes, %v: want the 16 MiB that it was given", used.QuotaBytes, err)
	}
}

// TestOtherData: the name of a run depends on its settings alone. A run with the same name
// but another dataset is refused.
func TestOtherData(t *testing.T) {
	s, base := open(t), policytest.Tiny(1)
	spec := head + "  - {name: sft, set: {line.rounds: 0}}\n"
	s.do(t, spec, base, dataset(t, 20))
	err := s.lab(plan(t, spec), base, dataset(t, 21)).Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), "another dataset or base") {
		t.Errorf("got %v, want an error that the dataset is another", err)
	}
}

// TestArmsOfOtherData: an arm with its own files runs on them, copies nothing from runs on others, and is
// compared over the cases that both have: the test file's.
func TestArmsOfOtherData(t *testing.T) {
	if testing.Short() {
		t.Skip("it runs three lines with trainings; the full test run does it")
	}
	s, base := open(t), policytest.Tiny(1)
	test := filepath.Join(filepath.Dir(dataset(t, 1)), "test.jsonl")
	copyFile(t, dataset(t, 8), test)
	spec := strings.Replace(head, "split.test_share: 0.2", "split.test_files: [test.jsonl]", 1) +
		"  - {name: a, set: {line.rounds: 0}}\n  - {name: b, datasets: [other], set: {line.rounds: 0}}\n" +
		"  - {name: c, set: {line.rounds: 0, warmup.rate: 0.002}}\ncompare: [a - b]\n"
	p := plan(t, spec)
	if len(p.Sources) != 2 || p.Runs[0].Source != 0 || p.Runs[1].Source != 1 || p.Runs[2].Source != 0 {
		t.Fatalf("sources %+v of runs %+v", p.Sources, p.Runs)
	}
	l := s.lab(p, base, "")
	l.Sources = []lab.Opened{{base, []string{dataset(t, 20), test}}, {base, []string{dataset(t, 24), test}}}
	for range 2 { // the second time all of it is there
		if err := l.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	r, err := lab.Measure(t.Context(), s.Courier, s.dir, p)
	if err != nil {
		t.Fatal(err)
	}
	if r.Runs[1].Work.Reused != 0 || r.Runs[2].Work.Reused == 0 {
		t.Errorf("%d records were copied from other data, %d from the same",
			r.Runs[1].Work.Reused, r.Runs[2].Work.Reused)
	}
	if n, all := r.Differences[0].Difference.N, r.Arms[0].Accuracy.N; n != all || n == 0 {
		t.Errorf("compared over %d cases, want the test file's %d", n, all)
	}
	l.Sources[0], l.Sources[1] = l.Sources[1], l.Sources[0]
	if err := l.Run(t.Context()); err == nil || !strings.Contains(err.Error(), "another dataset or base") {
		t.Errorf("got %v with the files exchanged", err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.WriteFile(to, b, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestFilesByName: a test file that was not published is an error; otherwise no rows would be
// held out.
func TestFilesByName(t *testing.T) {
	s := open(t)
	spec := strings.Replace(head, "split.test_share: 0.2", "split.test_files: [tset.jsonl]", 1) + "  - {name: a}\n"
	err := s.lab(plan(t, spec), policytest.Tiny(1), dataset(t, 20)).Run(t.Context())
	if err == nil || !strings.Contains(err.Error(), `no published file is named "tset.jsonl"`) {
		t.Errorf("got %v, want an error that names the file", err)
	}
}
