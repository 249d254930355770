//go:build linux

package integration

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"itool/broker"
	"itool/integration/results"
	"itool/integration/rig"
	"itool/ops/courier"
	"itool/ops/line"
	"itool/schemas"
	"itool/storage"
	"itool/storage/disk"
)

// whole is a run on a cluster, published and filtered by programs in Python, with workers that follow the queue.
type whole struct {
	t      *testing.T
	dir    string
	python string
	model  wholeModel
	nodes  *rig.Cluster
	b      *broker.Broker
	store  storage.Store

	pool        *rig.Process
	most        int // workers of expand at a time
	killed      int // workers
	swappedAt   int // pairs when filter was swapped
	leaderDied  int
	afterLeader time.Duration // until the next result
}

// wholeModel is what the run learns, with which base.
type wholeModel struct {
	title         string // after that of the page's section
	dataset, base string
	set           []string
	patience      time.Duration // for each step of the test
}

// modelOfWhole is the demo's base and data; or the model, the data and further settings that ITOOL_WHOLE_BASE,
// ITOOL_WHOLE_DATA and ITOOL_WHOLE_SET name, such as a pretrained one.
func modelOfWhole(t *testing.T) wholeModel {
	m := wholeModel{patience: 5 * time.Minute, set: []string{
		oneRound, "select.max_trees=40", "select.ratio=1", "expand.iterations=40", "expand.patience=0",
	}}
	m.dataset, m.base = assets(t)
	if base := os.Getenv("ITOOL_WHOLE_BASE"); base != "" {
		m.base, m.dataset, m.patience = base, os.Getenv("ITOOL_WHOLE_DATA"), time.Hour
		m.set = append(m.set, strings.Fields(os.Getenv("ITOOL_WHOLE_SET"))...)
		m.title = " with a pretrained model"
	}
	return m
}

// TestWhole is the acceptance of the whole: three nats-servers and a MinIO; a Python program publishes a dataset;
// expand grows from zero with the queue and back; a node and half the workers are killed on the way; filter is swapped
// for the Python one in the middle; the policies are those of one quiet process, byte for byte. Where MinIO is not
// built, the store is a folder.
func TestWhole(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the whole line twice in processes, half a minute; the full test run does it")
	}
	m := modelOfWhole(t)
	modules := wireModules
	if rig.HasMinIO() {
		modules = append([]string{"minio"}, modules...)
	}
	w := &whole{t: t, dir: t.TempDir(), python: foreignPython(t, modules...), model: m}
	r := results.Begin("Acceptance of the whole" + m.title)
	quiet := policies(t, inOneProcessOf(t, m.dataset, m.base, m.set...))
	spec := w.start()
	w.itool("doctor", "--create")
	w.openStore(spec)
	ours, rest := w.work("filter"), w.work("split", "warmup", "score", "select")
	w.work("keeper")
	trainer := w.work("update")
	w.pool = rig.Start(t, w.dir, "work", "expand", "--workers", "0..4", "--quiet", "2s", "--slots", "1", "--ack-wait",
		"5s", "--verbose")
	if n := len(w.pool.Children()); n > 0 {
		t.Errorf("%d workers of expand without a run", n)
	}
	w.publish()
	w.await("a third of the pairs, of our filter", func() bool {
		n := w.count(schemas.RecordPair)
		return n > 0 && n >= w.count(schemas.RecordRoot)/3
	})
	w.killHalf(rest, trainer)
	ours.Stop()
	w.swappedAt = w.count(schemas.RecordPair)
	rig.StartProgram(t, w.dir, w.python, "-m", "itoolwire", "filter", "--cache", t.TempDir())
	w.await("a pair of the filter in Python", func() bool { return w.count(schemas.RecordPair) > w.swappedAt })
	w.killLeader()
	w.await("end of the run", w.ended)
	w.await("an empty pool", func() bool { return len(w.pool.Children()) == 0 })
	w.check(quiet, r)
	w.verbs()
}

// start starts the servers and names them in the environment, where the programs in Go and in Python look.
func (w *whole) start() (spec string) {
	w.t.Helper()
	w.nodes = rig.NATS(w.t, rig.ClusterOptions{})
	env := map[string]string{
		"ITOOL_BROKER": w.nodes.URLs(), "ITOOL_NATS_USER": w.nodes.User, "ITOOL_NATS_PASSWORD": w.nodes.Password,
		"ITOOL_NATS_CA": w.nodes.Certs.CA, "ITOOL_STREAM_REPLICAS": "3", "ITOOL_CONNECTION": "",
		"ITOOL_STORE": "disk:" + filepath.Join(w.dir, "store"), "PYTHONPATH": foreignPackage(w.t),
	}
	if rig.HasMinIO() {
		s := rig.StartMinIO(w.t)
		env["ITOOL_STORE"] = "minio://" + s.Endpoint + "/whole"
		env["ITOOL_MINIO_ACCESS_KEY"], env["ITOOL_MINIO_SECRET_KEY"] = s.Access, s.Secret
		w.t.Cleanup(func() { s.Kill() })
	}
	for name, value := range env {
		w.t.Setenv(name, value)
	}
	w.b = connect(w.t, w.nodes, 0, 1, 2)
	return env["ITOOL_STORE"]
}

func (w *whole) openStore(spec string) {
	w.t.Helper()
	if dir, ok := strings.CutPrefix(spec, "disk:"); ok {
		var err error
		if w.store, err = disk.Open(dir); err != nil {
			w.t.Fatal(err)
		}
	}
}

func (w *whole) itool(args ...string) {
	w.t.Helper()
	if out, errs, code := rig.Itool(w.t, w.dir, args...); code != 0 {
		w.t.Fatalf("itool %s: exit code %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
}

func (w *whole) work(stages ...string) *rig.Process {
	w.t.Helper()
	args := []string{"work", "--verbose", "--ack-wait", "5s", "--slots", "1"}
	return rig.Start(w.t, w.dir, append(args, stages...)...)
}

// publish starts the run from Python.
func (w *whole) publish() {
	w.t.Helper()
	args := []string{"-m", "itoolwire", "publish", w.model.dataset, "--base", w.model.base, "--name", name}
	said := runPython(w.t, w.python, append(args, settings(w.model.set...)...)...)
	if !strings.Contains(said, "published run") {
		w.t.Fatalf("the program in Python says %q", said)
	}
}

// await waits, and notes how many workers the pool has.
func (w *whole) await(what string, done func() bool) {
	w.t.Helper()
	awaitWithin(w.t, w.model.patience, what, func() bool {
		w.most = max(w.most, len(w.pool.Children()))
		return done()
	})
}

// count is how many records there are in round 0.
func (w *whole) count(record string) int {
	n, err := w.b.Count(w.t.Context(), name, broker.Filter(record, 0))
	if err != nil {
		return 0 // the run is not open, or a leader is being elected
	}
	return n
}

// killHalf kills half of the workers by SIGKILL: of each two, and of the pool.
func (w *whole) killHalf(rest, trainer *rig.Process) {
	w.t.Helper()
	rest.Kill()
	trainer.Kill()
	w.killed = 2
	children := w.pool.Children()
	for _, pid := range children[:(len(children)+1)/2] {
		if w.pool.KillChild(pid) == nil {
			w.killed++
		}
	}
	w.work("split", "warmup", "score", "select")
	w.work("update")
}

// killLeader kills the node that leads the run's stream, and starts it again when work goes on.
func (w *whole) killLeader() {
	w.t.Helper()
	records := func() uint64 {
		u, err := w.b.Usage(w.t.Context(), name)
		if err != nil {
			return 0
		}
		return u.Messages
	}
	w.await("leader of the run's stream", func() bool { return w.nodes.Leader("RUN_"+name) >= 0 })
	w.leaderDied = w.nodes.Leader("RUN_" + name)
	before := records()
	w.nodes.Kill(w.leaderDied)
	killed := time.Now()
	w.await("record after a node died", func() bool { return records() > before })
	w.afterLeader = time.Since(killed)
	w.nodes.Start(w.t, w.leaderDied)
}

func (w *whole) ended() bool {
	v, err := line.Rows(nil).Look(w.t.Context(), &courier.Courier{Broker: w.b, Store: w.store}, name)
	if err == nil && v.End != nil && (v.End.Status != schemas.StatusDone || v.Failed > 0) {
		w.t.Fatalf("the run ended as %+v with %d failed items", v.End, v.Failed)
	}
	return err == nil && v.End != nil
}

func (w *whole) check(quiet []string, r *results.Report) {
	w.t.Helper()
	c := &courier.Courier{Broker: w.b, Store: w.store}
	got := policies(w.t, c)
	if fmt.Sprint(got) != fmt.Sprint(quiet) {
		w.t.Errorf("policies\n%v differ from those of one quiet process\n%v", got, quiet)
	}
	writers := map[string]int{}
	for m, err := range w.b.List(w.t.Context(), name, broker.Filter(schemas.RecordPair, 0)) {
		if err != nil {
			w.t.Fatal(err)
		}
		who := "itool"
		if strings.HasPrefix(m.Header["itool-worker"], "python") {
			who = "python"
		}
		writers[who]++
	}
	if writers["itool"] == 0 || writers["python"] == 0 {
		w.t.Errorf("pairs by their writers: %v; filter was not swapped in the middle", writers)
	}
	if w.most < 2 {
		w.t.Errorf("%d workers of expand at most; want several", w.most)
	}
	store := "a folder: MinIO is not built here"
	if rig.HasMinIO() {
		store = "MinIO"
	}
	verdict := map[bool]string{false: "the same bytes as one quiet process", true: "differ: see the test's output"}
	err := r.Write(results.Table(
		[]string{"what", "seen"},
		[]string{"broker and store", "three nats-servers, three replicas, TLS; " + store},
		[]string{"published by", "a Python program (`integration/foreign`)"},
		[]string{"workers of expand (`--workers 0..4`)", fmt.Sprintf("0 → %d → 0", w.most)},
		[]string{"trees", fmt.Sprint(w.count(schemas.RecordCandidate))},
		[]string{"filter swapped after pair", fmt.Sprintf("%d; results by itool %d, by Python %d", w.swappedAt,
			writers["itool"], writers["python"])},
		[]string{"killed by SIGKILL", fmt.Sprintf("%d workers; the node that led the run's stream", w.killed)},
		[]string{"next record after the node died", w.afterLeader.Round(100 * time.Millisecond).String()},
		[]string{"policies", fmt.Sprintf("%d, %s", len(got), verdict[w.t.Failed()])},
	))
	if err != nil {
		w.t.Error(err)
	}
}
