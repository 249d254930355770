//go:build unix

package integration

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"itool/broker"
	"itool/integration/results"
	"itool/integration/rig"
	"itool/ops/courier"
	"itool/ops/line"
	"itool/schemas"
)

// chaos says how large an experiment is and how often what is disturbed.
type chaos struct {
	items, workers int
	kills          int // SIGKILL of a worker
	freezes        int // SIGSTOP of a worker for longer than AckWait
	stops          int // SIGTERM of a worker
	brokers        int // SIGKILL of broker and keeper; without MinIO, of the store, too
	stores         int // SIGKILL of MinIO
	keepers        int // SIGKILL of a second keeper

	ackWait time.Duration // so long that a process can start meanwhile, which takes seconds on a busy machine
}

// TestChaosQueue: the queue of the search is disturbed all along. Every item of the manifest has one result, with
// the bytes of a calm run, and few items were searched twice.
func TestChaosQueue(t *testing.T) {
	size := chaos{items: 16, workers: 2, kills: 2, freezes: 1, stops: 1, brokers: 1, stores: 1, keepers: 1,
		ackWait: 3 * time.Second}
	if results.Wanted() {
		size = chaos{items: 400, workers: 6, kills: 30, freezes: 20, stops: 20, brokers: 5, stores: 3, keepers: 5,
			ackWait: 10 * time.Second}
	} else if testing.Short() {
		t.Skip("kills processes for half a minute; the full test run does it")
	}
	r := results.Begin("Chaos: a queue of search trees")
	dataset, base := synthetic(t, size.items)
	set := []string{
		"line.rounds=1", "warmup.mode=none", "warmup.plateau=0", "split.validation_share=0.02",
		"split.replay_share=0.95", "score.draws=0", "score.greedy=false", "select.order=perplexity", "select.ratio=1",
		fmt.Sprint("select.max_trees=", size.items), "select.self_eval=off", "select.judge_examples=1",
		"select.headroom_examples=1", "update.min_pairs=1000000",
	}
	calm := inOneProcessOf(t, dataset, base, set...)
	size.items = len(bodies(t, calm, schemas.RecordRoot))
	k, store := upForChaos(t, size.ackWait)
	k.publishOf(dataset, base, set...)
	k.workWith(size.ackWait, "split", "warmup", "score", "select", "filter", "update")
	awaitWithin(t, 5*time.Minute, "selected examples", func() bool {
		keys, err := k.site.Broker.Keys(t.Context(), name, schemas.RecordRoot, 0)
		return err == nil && len(keys) == size.items
	})
	d := newDisturber(k, store, size)
	d.run()
	k.end()
	records := []string{"root", "candidate", "pair"}
	if diff := cmp.Diff(bodies(t, calm, records...), bodies(t, k.site.Courier, records...)); diff != "" {
		t.Errorf("the records differ (- calm, + disturbed):\n%s", diff)
	}
	manifest := keysOfManifest(t, k.site.Broker)
	got, err := k.site.Broker.Keys(t.Context(), name, schemas.RecordCandidate, 0)
	if slices.Sort(got); err != nil || !slices.Equal(got, manifest) {
		t.Errorf("%d results, %v; the manifest has %d items", len(got), err, len(manifest))
	}
	d.missing = len(manifest) - len(got)
	deliveries := d.deliveries()
	if results.Wanted() && float64(deliveries) > 1.2*float64(size.items) {
		t.Errorf("%d deliveries of %d items, more than 1.2 of each", deliveries, size.items)
	}
	if err := r.Write(d.report(calm, deliveries)); err != nil {
		t.Error(err)
	}
}

// synthetic makes a dataset that gives a few more rows than items, and the base of the demo.
func synthetic(t *testing.T, items int) (dataset, base string) {
	t.Helper()
	_, base = assets(t)
	dataset = filepath.Join(t.TempDir(), "rows.jsonl")
	rows := strconv.Itoa(items + items/5 + 20)
	args := []string{"synth", "--out", dataset, "--rows", rows, "--seed", "5"}
	if out, errs, code := rig.Itool(t, t.TempDir(), args...); code != 0 {
		t.Fatalf("synth: exit code %d\n%s%s", code, out, errs)
	}
	return dataset, base
}

// upForChaos starts broker and keeper, and MinIO if it is built. Without it the store is a folder, which dies with
// the broker's process.
func upForChaos(t *testing.T, ackWait time.Duration) (*cluster, *rig.Store) {
	t.Helper()
	if !rig.HasMinIO() {
		return upWith(t, ackWait), nil
	}
	s := rig.StartMinIO(t)
	t.Setenv("ITOOL_MINIO_ACCESS_KEY", s.Access)
	t.Setenv("ITOOL_MINIO_SECRET_KEY", s.Secret)
	return upWith(t, ackWait, "--store", "minio://"+s.Endpoint+"/chaos"), s
}

// keysOfManifest are the keys of the items of the search, sorted.
func keysOfManifest(t *testing.T, b *broker.Broker) (keys []string) {
	t.Helper()
	c := courier.Courier{Broker: b}
	rows, _, err := courier.Rows[schemas.Manifest](t.Context(), &c, name, schemas.RecordManifest, 0, schemas.RecordPair)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		keys = append(keys, r.Key)
	}
	slices.Sort(keys)
	return keys
}

// disturber starts the workers of the search, and disturbs them and what they need.
type disturber struct {
	k       *cluster
	store   *rig.Store // nil: a folder
	size    chaos
	rng     *rand.Rand
	workers []*rig.Process
	thaws   []time.Time // until when each worker is frozen
	keeper  *rig.Process
	counts  map[string]int
	began   time.Time
	took    time.Duration
	missing int // items of the manifest without a result
}

func newDisturber(k *cluster, store *rig.Store, size chaos) *disturber {
	d := &disturber{k: k, store: store, size: size, rng: rand.New(rand.NewPCG(5, 7)), counts: map[string]int{}}
	for range size.workers {
		d.workers = append(d.workers, k.workWith(size.ackWait, "expand"))
	}
	d.thaws = make([]time.Time, size.workers)
	d.keeper = k.workWith(size.ackWait, "keeper")
	d.began = time.Now()
	return d
}

// run disturbs in random order. The disturbances follow the results, so that they are spread over the whole queue
// on a fast machine and on a slow one.
func (d *disturber) run() {
	var kinds []func()
	for _, kind := range []struct {
		times int
		do    func()
	}{
		{d.size.kills, d.kill}, {d.size.freezes, d.freeze}, {d.size.stops, d.stop}, {d.size.brokers, d.killBroker},
		{d.size.stores, d.killStore}, {d.size.keepers, d.killKeeper},
	} {
		for range kind.times {
			kinds = append(kinds, kind.do)
		}
	}
	d.rng.Shuffle(len(kinds), func(i, j int) { kinds[i], kinds[j] = kinds[j], kinds[i] })
	for i, disturb := range kinds {
		d.awaitResults(i * d.size.items * 9 / 10 / len(kinds))
		disturb()
	}
	d.awaitResults(d.size.items)
	d.took = time.Since(d.began)
}

// awaitResults waits until so many trees are searched.
func (d *disturber) awaitResults(n int) {
	d.k.t.Helper()
	last, moved := -1, time.Now()
	for {
		done, err := d.k.site.Broker.Count(d.k.t.Context(), name, broker.Filter(schemas.RecordCandidate, 0))
		if err == nil && done >= n {
			return
		}
		if err == nil && done > last {
			last, moved = done, time.Now()
		}
		if time.Since(moved) > 3*time.Minute {
			d.k.t.Fatalf("%d of %d results, and none more for three minutes; disturbed: %v",
				last, d.size.items, d.counts)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// awake is the number of a worker that is not frozen.
func (d *disturber) awake() int {
	for {
		i := d.rng.IntN(len(d.workers))
		if time.Now().After(d.thaws[i]) {
			return i
		}
		time.Sleep(time.Millisecond)
	}
}

func (d *disturber) kill() {
	i := d.awake()
	d.workers[i].Kill()
	d.workers[i] = d.k.workWith(d.size.ackWait, "expand")
	d.counts["workers killed"]++
}

func (d *disturber) freeze() {
	i, pause := d.awake(), d.size.ackWait+2*time.Second
	d.thaws[i] = time.Now().Add(pause + 100*time.Millisecond)
	d.workers[i].Freeze(pause)
	d.counts["workers frozen"]++
}

func (d *disturber) stop() {
	i := d.awake()
	d.workers[i].Stop()
	d.workers[i] = d.k.workWith(d.size.ackWait, "expand")
	d.counts["workers stopped"]++
}

func (d *disturber) killBroker() {
	d.k.site.Restart(d.k.t)
	d.counts["brokers killed"]++
}

func (d *disturber) killStore() {
	if d.store == nil {
		return // it died with the broker
	}
	d.store.Kill()
	time.Sleep(2 * time.Second)
	d.store.Restart(d.k.t)
	d.counts["stores killed"]++
}

func (d *disturber) killKeeper() {
	d.keeper.Kill()
	d.keeper = d.k.workWith(d.size.ackWait, "keeper")
	d.counts["keepers killed"]++
}

// deliveries counts how often an item was given to a worker: at least as often as one was searched.
func (d *disturber) deliveries() uint64 {
	queues, err := d.k.site.Broker.Queues(d.k.t.Context(), name)
	if err != nil {
		d.k.t.Fatal(err)
	}
	return queues["expand"].Deliveries
}

func (d *disturber) report(calm *courier.Courier, deliveries uint64) string {
	store := "a folder of the broker's process, which dies with it: MinIO is not built here"
	if d.store != nil {
		store = "MinIO"
	}
	low, median, high := secondsOf(d.k.t, calm)
	rows := [][]string{{"what", "asked for", "seen"}}
	add := func(what, asked string, seen any) { rows = append(rows, []string{what, asked, fmt.Sprint(seen)}) }
	add("trees (a tree took "+low+" s at least, "+median+" s at the median, "+high+" s at most)",
		"400", d.size.items)
	add("workers (`itool work expand`, one slot, AckWait "+d.size.ackWait.String()+")", "6", d.size.workers)
	add("SIGKILL of a worker", "≥ 30", d.counts["workers killed"])
	add("freezes longer than AckWait", "20", d.counts["workers frozen"])
	add("SIGTERM of a worker", "20", d.counts["workers stopped"])
	add("SIGKILL of the broker (with a keeper)", "5", d.counts["brokers killed"])
	add("SIGKILL of the store: "+store, "3", d.counts["stores killed"])
	add("SIGKILL of the second keeper", "at random", d.counts["keepers killed"])
	add("items of the manifest without a result", "0", d.missing)
	add("records that differ from a calm run of one process (root, candidate, pair)", "0",
		map[bool]string{false: "0", true: "see the test's output"}[d.k.t.Failed()])
	add("deliveries, of which some found their result", "≤ 1.2 of each item",
		fmt.Sprintf("%d, %.2f of each", deliveries, float64(deliveries)/float64(d.size.items)))
	add("time of the search", "", d.took.Round(time.Second))
	return results.Table(rows...)
}

// secondsOf tells how uneven the trees of a run are.
func secondsOf(t *testing.T, c *courier.Courier) (low, median, high string) {
	t.Helper()
	var all []float64
	for m, err := range c.Broker.List(t.Context(), name, broker.Filter(schemas.RecordCandidate, 0)) {
		if err != nil {
			t.Fatal(err)
		}
		if s, err := strconv.ParseFloat(m.Header[courier.HeaderSeconds], 64); err == nil {
			all = append(all, s)
		}
	}
	if slices.Sort(all); len(all) == 0 {
		t.Fatal("no result says how long it took")
	}
	text := func(s float64) string { return strconv.FormatFloat(s, 'f', 2, 64) }
	return text(all[0]), text(all[len(all)/2]), text(all[len(all)-1])
}

// TestChaosTrainers: the workers of update are killed and frozen all along, each time after the training has come
// further. The policies are one chain, and those of a calm run.
func TestChaosTrainers(t *testing.T) {
	if !results.Wanted() {
		t.Skip("takes minutes: task results runs it. TestKills, and TestKill in broker, are its small forms")
	}
	const times, rounds, epochs = 64, 3, 12
	r := results.Begin("Chaos: trainers")
	set := []string{fmt.Sprint("line.rounds=", rounds), fmt.Sprint("update.epochs=", epochs)}
	calm := policies(t, inOneProcess(t, set...))
	k := up(t)
	k.publish(set...)
	k.work("split", "warmup", "score", "select", "expand", "filter")
	trainers := []*rig.Process{k.work("update"), k.work("update"), k.work("update")}
	rng, killed, frozen, began := rand.New(rand.NewPCG(11, 13)), 0, 0, time.Now()
	thaws := make([]time.Time, len(trainers))
	for killed+frozen < times && k.further("update") {
		i := rng.IntN(len(trainers))
		if time.Now().Before(thaws[i]) {
			continue
		}
		if rng.IntN(3) == 0 {
			trainers[i].Freeze(5 * time.Second) // AckWait is 3 s
			thaws[i] = time.Now().Add(6 * time.Second)
			frozen++
			continue
		}
		trainers[i].Kill()
		trainers[i] = k.work("update")
		killed++
	}
	k.end()
	got := policies(t, k.site.Courier)
	if fmt.Sprint(got) != fmt.Sprint(calm) {
		t.Errorf("policies\n%v differ from those of a calm run\n%v", got, calm)
	}
	if killed+frozen < times {
		t.Errorf("%d trainers were killed, %d frozen, until the run ended; want %d", killed, frozen, times)
	}
	verdict := map[bool]string{false: "the same", true: "they differ: see the test's output"}
	err := r.Write(results.Table(
		[]string{"what", "asked for", "seen"},
		[]string{"trainers at a time (`itool work update`, AckWait 3 s, a checkpoint each step)", "", "3"},
		[]string{"SIGKILL and freezes of 5 s, each after a step more", "≥ 60", fmt.Sprintf("%d + %d", killed, frozen)},
		[]string{"policies, base and warm-up included", "one chain", fmt.Sprintf("%d, one for each round", len(got))},
		[]string{"their bytes, compared with a calm run of one process", "the same", verdict[t.Failed()]},
		[]string{"the same two trainers without the write-once commit", "fails",
			"a fork: `TestCommitIsWhatKeepsOneChain` in `broker`"},
		[]string{"time", "", time.Since(began).Round(time.Second).String()},
	))
	if err != nil {
		t.Error(err)
	}
}

// further waits until the stage reports a step more; false: the run has ended.
func (k *cluster) further(stage string) bool {
	k.t.Helper()
	deadline, look := time.After(4*time.Minute), time.NewTicker(time.Second)
	defer look.Stop()
	for {
		select {
		case p := <-k.news:
			if p.Stage == stage {
				return true
			}
		case <-look.C:
			if k.ended() {
				return false
			}
		case <-deadline:
			v, err := line.Rows(nil).Look(k.t.Context(), k.site.Courier, name)
			k.t.Fatalf("%s comes no further: %+v, %v", stage, v, err)
		}
	}
}
