package integration

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"itool/broker"
	"itool/integration/rig"
	"itool/ops/courier"
	"itool/ops/demo"
	"itool/ops/line"
	"itool/schemas"
)

// small are the settings of a whole run that takes seconds: two rounds on the demo's data. Every
// optimiser step writes a checkpoint, so that a killed trainer has something to resume. The
// filter keeps nearly all pairs, so that the update always has something to train on.
var small = []string{
	"line.rounds=2", "line.evaluate=none", "line.batch_rows=16", "split.test_share=0",
	"warmup.epochs=1", "warmup.batch_size=16", "warmup.checkpoint_steps=1", "warmup.plateau=1",
	"warmup.best=accuracy", "warmup.accuracy_rows=4", "score.draws=2", "score.greedy=true", "select.order=mixed",
	"select.max_trees=6", "select.judge_examples=4", "select.max_tokens=32", "select.ratio=0.5",
	"expand.width=3", "expand.max_answer_tokens=40",
	"select.self_eval=on", "filter.mode=paper", "filter.min_chosen_q=-9", "filter.min_q_difference=0.0001",
	"update.min_pairs=1", "update.min_steps=1", "update.batch_size=2", "update.epochs=2",
	"update.checkpoint_steps=1", "update.guard_prompts=4",
	"update.best=accuracy", "update.validate_steps=1", "update.accuracy_rows=4",
}

// cluster is one run in separate processes.
type cluster struct {
	t     *testing.T
	site  *rig.Site
	where []string // flags that name the broker and the store
	news  <-chan schemas.Progress
}

const name = "bytes"

// assets writes a part of the demo's dataset and its base model to files, as a user has them.
func assets(t *testing.T) (dataset, base string) {
	t.Helper()
	dir := t.TempDir()
	files, err := demo.Dataset(true)
	if err != nil {
		t.Fatal(err)
	}
	rows := files[0].Data // the training set
	lines, n := 0, 0
	for n < len(rows) && lines < 90 {
		if rows[n] == '\n' {
			lines++
		}
		n++
	}
	dataset, base = filepath.Join(dir, "data.jsonl"), filepath.Join(dir, "base")
	if err := os.WriteFile(dataset, rows[:n], 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.CopyFS(base, demo.Base()); err != nil {
		t.Fatal(err)
	}
	return dataset, base
}

// settings are flags with the small run's settings and more.
func settings(more ...string) (args []string) {
	for _, s := range append(small[:len(small):len(small)], more...) {
		args = append(args, "--set", s)
	}
	return args
}

// up starts broker and keeper. store are flags that name another store than the one in the
// site's folder.
func up(t *testing.T, store ...string) *cluster {
	t.Helper()
	return upWith(t, 3*time.Second, store...)
}

func upWith(t *testing.T, ackWait time.Duration, store ...string) *cluster {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "site")
	k := &cluster{t: t, site: rig.Up(t, dir, append([]string{"--ack-wait", ackWait.String()}, store...)...)}
	k.where = []string{"--dir", k.site.Dir}
	if len(store) > 0 { // the flags that up prints
		k.where = append([]string{"--broker", k.site.Address}, store...)
	}
	var err error
	if k.news, err = k.site.ListenProgress(t.Context(), name); err != nil {
		t.Fatal(err)
	}
	return k
}

// itool runs a command on the cluster and waits for its end.
func (k *cluster) itool(args ...string) (out, errs string) {
	k.t.Helper()
	out, errs, code := rig.Itool(k.t, k.site.Dir, append(args, k.where...)...)
	if code != 0 {
		k.t.Fatalf("itool %s: exit code %d\n%s%s", args[0], code, out, errs)
	}
	return out, errs
}

// publish starts the small run with further settings.
func (k *cluster) publish(set ...string) (out, errs string) {
	k.t.Helper()
	dataset, base := assets(k.t)
	return k.publishOf(dataset, base, set...)
}

func (k *cluster) publishOf(dataset, base string, set ...string) (out, errs string) {
	k.t.Helper()
	return k.itool(append([]string{"publish", dataset, "--base", base, "--name", name}, settings(set...)...)...)
}

func (k *cluster) work(stages ...string) *rig.Process {
	k.t.Helper()
	return k.workWith(3*time.Second, stages...)
}

func (k *cluster) workWith(ackWait time.Duration, stages ...string) *rig.Process {
	k.t.Helper()
	args := append([]string{"work", "--verbose", "--ack-wait", ackWait.String(), "--slots", "1"}, k.where...)
	return rig.Start(k.t, k.site.Dir, append(args, stages...)...)
}

// during waits until an item of the stage reports at least this progress.
func (k *cluster) during(stage string, done int64) {
	k.t.Helper()
	deadline := time.After(2 * time.Minute)
	for {
		select {
		case p := <-k.news:
			if p.Stage == stage && p.Done >= done && p.Done < p.Total {
				k.t.Logf("%s is at %d of %d %s", stage, p.Done, p.Total, p.Unit)
				return
			}
		case <-deadline:
			k.t.Fatalf("%s did not reach %d", stage, done)
		}
	}
}

// end waits until the run is done.
func (k *cluster) end() {
	k.t.Helper()
	for deadline := time.Now().Add(4 * time.Minute); ; time.Sleep(50 * time.Millisecond) {
		v, err := line.Rows(nil).Look(k.t.Context(), k.site.Courier, name)
		if err == nil && v.End != nil {
			if v.End.Status != "done" || v.Failed != 0 {
				k.t.Fatalf("the run ended as %+v with %d failed items", v.End, v.Failed)
			}
			return
		}
		if time.Now().After(deadline) {
			k.t.Fatalf("the run does not end: %+v, %v", v, err)
		}
	}
}

// policies are the digests of the policies of all rounds.
func policies(t *testing.T, c *courier.Courier) (digests []string) {
	t.Helper()
	trained := 0
	for r := line.Base; ; r++ {
		p, err := c.Policy(context.WithoutCancel(t.Context()), name, r)
		if errors.Is(err, broker.ErrNotExist) {
			if trained < 2 {
				t.Fatalf("only %d policies were trained: the test proves nothing", trained)
			}
			return digests
		}
		if err != nil {
			t.Fatal(err)
		}
		if p.Status == "trained" {
			trained++
		}
		digests = append(digests, p.Checkpoint)
	}
}

// The promise of the design: the same seed gives the same bytes, for any workers and any number
// of crashes.
func TestSameSeedSameAdapterBytes(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the whole line four times in separate processes, about a minute; the full test run does it")
	}
	undisturbed := policies(t, inOneProcess(t))
	for _, c := range []struct {
		name string
		do   func(k *cluster)
	}{
		{"one expand worker, twice the same", func(k *cluster) { k.work("expand", "update") }},
		{"three expand workers", func(k *cluster) {
			for range 3 {
				k.work("expand")
			}
			k.work("update")
		}},
		{"expand and update killed in the middle of their work", func(k *cluster) {
			expand, update := k.work("expand"), k.work("update")
			k.during("expand", 1) // a tree may be done before its second progress message is due
			expand.Kill()
			k.work("expand")
			k.during("update", 1)
			update.Kill()
			k.work("update")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := up(t)
			k.publish()
			k.work("split", "warmup", "score", "select", "filter")
			c.do(k)
			k.end()
			got := policies(t, k.site.Courier)
			if fmt.Sprint(got) != fmt.Sprint(undisturbed) {
				t.Errorf("policies\n%v differ from those of an undisturbed run in one process\n%v", got, undisturbed)
			}
		})
	}
}

// inOneProcess does the small run with `itool run`, and serves its folder afterwards so that
// the test can read the run.
func inOneProcess(t *testing.T, set ...string) *courier.Courier {
	t.Helper()
	dataset, base := assets(t)
	return inOneProcessOf(t, dataset, base, set...)
}

func inOneProcessOf(t *testing.T, dataset, base string, set ...string) *courier.Courier {
	t.Helper()
	dir := t.TempDir()
	site := filepath.Join(dir, "site")
	args := []string{"run", dataset, "--base", base, "--name", name, "--dir", site, "--json"}
	out, errs, code := rig.ItoolWithin(t, time.Hour, dir, append(args, settings(set...)...)...)
	if code != 0 {
		t.Fatalf("run: exit code %d\n%s%s", code, out, errs)
	}
	return rig.Up(t, site).Courier
}
