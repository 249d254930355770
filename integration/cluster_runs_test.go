package integration

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"itool/broker"
	"itool/integration/results"
	"itool/integration/rig"
	"itool/ops/courier"
	"itool/ops/line"
)

// TestClusterRuns: what so many runs cost three servers in memory, and how long it takes until each has a leader
// again when a server dies. Each run has a stream and a queue for each stage, with three copies.
func TestClusterRuns(t *testing.T) {
	if !results.Wanted() {
		t.Skip("measures for minutes: task results runs it. TestLeaderKilled is its small form")
	}
	r := results.Begin("Cluster: 1, 50 and 200 runs")
	rows := [][]string{{"runs", "made in", "memory of three servers, MiB", "all have a leader again after"}}
	c := rig.NATS(t, rig.ClusterOptions{})
	b := connect(t, c, 0, 1, 2)
	made := 0
	for _, runs := range []int{1, 50, 200} {
		began := time.Now()
		if err := makeRuns(t.Context(), b, made, runs); err != nil {
			rows = append(rows, []string{fmt.Sprint(runs), "not made: " + err.Error(), "", ""})
			break
		}
		took := time.Since(began).Round(100 * time.Millisecond)
		made = runs
		memory := c.MemoryMiB()
		again, err := killAndElect(t, c, b, runs)
		rows = append(rows, []string{fmt.Sprint(runs), fmt.Sprintf("%v (those that are new)", took),
			fmt.Sprintf("%.0f", memory), again})
		if err != nil {
			t.Errorf("%d runs: %v", runs, err)
			break
		}
	}
	t.Log("\n" + results.Table(rows...))
	if err := r.Write(results.Table(rows...)); err != nil {
		t.Error(err)
	}
}

func makeRuns(ctx context.Context, b *broker.Broker, from, to int) error {
	ctx, cancel := context.WithTimeout(ctx, 4*time.Minute)
	defer cancel()
	var all sync.WaitGroup
	numbers, errs := make(chan int), make([]error, 8)
	for i := range errs {
		all.Go(func() {
			for n := range numbers {
				if errs[i] == nil {
					errs[i] = makeRun(ctx, b, fmt.Sprint("r", n))
				}
			}
		})
	}
	for n := from; n < to; n++ {
		numbers <- n
	}
	close(numbers)
	all.Wait()
	return errors.Join(errs...)
}

// makeRun makes a run with a queue for each stage. On a busy cluster a call may time out: it is made again.
func makeRun(ctx context.Context, b *broker.Broker, run string) error {
	calls := []func() error{func() error { return b.CreateRun(ctx, run, 0) }}
	for _, s := range line.Stages(nil) {
		calls = append(calls, func() error {
			_, err := b.Pull(ctx, run, s.Spec().Name, []string{s.Spec().Filter()}, broker.PullOptions{})
			return err
		})
	}
	for _, call := range calls {
		err := call()
		for errors.Is(err, broker.ErrUnavailable) && ctx.Err() == nil {
			time.Sleep(100 * time.Millisecond)
			err = call()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// killAndElect kills a server and waits until all runs can be used, then starts it again.
func killAndElect(t *testing.T, c *rig.Cluster, b *broker.Broker, runs int) (text string, err error) {
	t.Helper()
	leader := max(c.Leader("RUN_r0"), 0)
	c.Kill(leader)
	defer func() {
		c.Start(t, leader)
		c.WaitReady(t)
	}()
	killed := time.Now()
	for n := 0; n < runs; {
		u := func() error { _, err := b.Usage(t.Context(), fmt.Sprint("r", n)); return err }()
		if u == nil {
			n++
		} else if time.Since(killed) > 3*time.Minute {
			return fmt.Sprintf("not within 3 minutes: %d of %d", n, runs), u
		}
	}
	return time.Since(killed).Round(100 * time.Millisecond).String(), nil
}

// storeAway is how long TestStoreAway keeps the store away.
func storeAway() time.Duration {
	if results.Wanted() {
		return 2 * time.Minute
	}
	return 3 * time.Second
}

// TestStoreAway: MinIO is away in the middle of a run. No item fails, every process that needs it says what it waits
// for, and the run ends as if nothing had been.
func TestStoreAway(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the whole line twice, some 20 seconds; the full test run does it")
	}
	s := rig.StartMinIO(t)
	t.Setenv("ITOOL_MINIO_ACCESS_KEY", s.Access)
	t.Setenv("ITOOL_MINIO_SECRET_KEY", s.Secret)
	r := results.Begin("Cluster: a store that is away")
	quiet := policies(t, inOneProcess(t, oneRound))
	k := up(t, "--store", "minio://"+s.Endpoint+"/away")
	k.publish(oneRound)
	watch := rig.Start(t, k.site.Dir, append([]string{"watch", name}, k.where...)...)
	for _, stage := range []string{"split", "warmup", "score", "select", "expand", "filter", "update"} {
		k.work(stage)
	}
	awaitWithin(t, 4*time.Minute, "first policy", func() bool {
		_, err := k.site.Courier.Policy(t.Context(), name, 0)
		return err == nil
	})
	s.Kill()
	gone := time.Now()
	said := map[string]string{} // what waits, by stage; "keeper and others" for those of all runs
	for saidSo := false; time.Since(gone) < storeAway() || !saidSo && time.Since(gone) < 4*time.Minute; {
		saidSo = listen(t, k.site.Courier, said)
	}
	for verb, want := range map[string]int{"runs": 0, "report " + name: 1} { // what a run did lies in the store
		out, errs, code := rig.Itool(t, k.site.Dir, append(strings.Fields(verb), k.where...)...)
		line := lineWith(out+errs, "stor") // store: …, storage/minio: …
		if line == "" || code != want {
			t.Errorf("itool %s says nothing of the store: exit code %d\n%s%s", verb, code, out, errs)
		}
		said["`itool "+verb+"`, begun while it is away"] = line
	}
	s.Restart(t)
	k.end()
	awaitWithin(t, 2*time.Minute, "end of watch", func() bool { return !watch.Running() })
	said["`itool watch`, begun before"] = lineWith(watch.Said(), "waiting: store")
	if got := policies(t, k.site.Courier); fmt.Sprint(got) != fmt.Sprint(quiet) {
		t.Errorf("policies\n%v differ from those of a quiet run\n%v", got, quiet)
	}
	rows := [][]string{{"who", "says while the store is away"}}
	for _, who := range slices.Sorted(maps.Keys(said)) {
		text := []rune(strings.ReplaceAll(said[who], "|", "\\|"))
		if len(text) > 200 {
			text = append(text[:200], '…')
		}
		rows = append(rows, []string{who, string(text)})
	}
	t.Log("\n" + results.Table(rows...))
	err := r.Write(fmt.Sprintf("MinIO was away for %v in the middle of a run, one process for each stage. No item "+
		"failed; the policies are those of a quiet run. A stage without an item says nothing.\n\n%s",
		time.Since(gone).Round(time.Second), results.Table(rows...)))
	if err != nil {
		t.Error(err)
	}
}

// listen notes what processes say that they wait for; true: one waits for the store.
func listen(t *testing.T, c *courier.Courier, said map[string]string) (forStore bool) {
	t.Helper()
	all, err := c.Waiting(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range all {
		who := w.Stage
		if who == "" {
			who = "all stages"
		}
		said[who] = "waiting: " + w.What
		forStore = forStore || strings.HasPrefix(w.What, "store: ")
	}
	return forStore
}

// lineWith is the first line with a word, "" if there is none.
func lineWith(text, word string) string {
	for l := range strings.Lines(text) {
		if strings.Contains(l, word) {
			return strings.TrimSpace(l)
		}
	}
	return ""
}
