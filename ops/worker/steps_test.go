package worker_test

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"itool/broker"
	"itool/broker/embed"
	"itool/ops/courier"
	"itool/ops/worker"
	"itool/schemas"
	"itool/stages"
	"itool/storage"
)

// fate is what a worker does with the world outside, step by step: each request to the broker and each call of the
// store is one. At one of them it dies: that one and all later ones do not happen.
type fate struct {
	mu    sync.Mutex
	steps int
	end   int // the step at which it dies; 0: never
}

// step tells whether the worker lives to do the next one.
func (f *fate) step() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.steps++
	return f.end == 0 || f.steps < f.end
}

// begin counts from here on, after the connection was made.
func (f *fate) begin(end int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.steps, f.end = 0, end
}

func (f *fate) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.steps
}

// doomed is a store that a worker reaches while it lives.
type doomed struct {
	store storage.Store // not embedded: a store over a network has no local files
	fate  *fate
}

func (d doomed) Put(ctx context.Context, key string, r io.Reader, size int64) (storage.Info, error) {
	if !d.fate.step() {
		return storage.Info{}, errAway
	}
	return d.store.Put(ctx, key, r, size)
}

func (d doomed) PutIfAbsent(ctx context.Context, key string, r io.Reader, size int64) (storage.Info, error) {
	if !d.fate.step() {
		return storage.Info{}, errAway
	}
	return d.store.PutIfAbsent(ctx, key, r, size)
}

func (d doomed) Get(ctx context.Context, key string) (io.ReadCloser, storage.Info, error) {
	if !d.fate.step() {
		return nil, storage.Info{}, errAway
	}
	return d.store.Get(ctx, key)
}

func (d doomed) Stat(ctx context.Context, key string) (storage.Info, error) {
	if !d.fate.step() {
		return storage.Info{}, errAway
	}
	return d.store.Stat(ctx, key)
}

func (d doomed) List(ctx context.Context, prefix string) iter.Seq2[storage.Info, error] {
	if !d.fate.step() {
		return func(yield func(storage.Info, error) bool) { yield(storage.Info{}, errAway) }
	}
	return d.store.List(ctx, prefix)
}

func (d doomed) Delete(ctx context.Context, key string) error {
	if !d.fate.step() {
		return errAway
	}
	return d.store.Delete(ctx, key)
}

// doomedWire passes one client's bytes on to a server while it lives. A request is one piece: the client writes it at
// once.
func doomedWire(t *testing.T, server string, f *fate) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { passDoomed(client, server, f) })
		}
	})
	t.Cleanup(func() { l.Close(); all.Wait() })
	return l.Addr().String()
}

func passDoomed(client net.Conn, server string, f *fate) {
	defer client.Close()
	to, err := net.Dial("tcp", server)
	if err != nil {
		return
	}
	defer to.Close()
	go func() {
		_, _ = io.Copy(client, to)
		client.Close()
	}()
	piece := make([]byte, 1<<20)
	for {
		n, err := client.Read(piece)
		if err != nil || !f.step() {
			return
		}
		if _, err := to.Write(piece[:n]); err != nil {
			return
		}
	}
}

// TestDyingAtEachStep: a worker dies at its first step, another one at its second, and so on to the end of an item
// and of a whole round: at each fetch, claim, deposit, checkpoint, publish and ack. The next worker finishes the
// work with the same bytes, and nothing is given up.
func TestDyingAtEachStep(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a broker and two workers a hundred times, for some 15 seconds")
	}
	want, steps := live(t, 0)
	if steps < 20 {
		t.Fatalf("only %d steps: the test shows too little", steps)
	}
	var all sync.WaitGroup
	atOnce := make(chan struct{}, 8)
	for end := 1; end <= steps; end++ {
		all.Go(func() {
			atOnce <- struct{}{}
			defer func() { <-atOnce }()
			if got, _ := live(t, end); got != want {
				t.Errorf("a worker died at step %d of %d; the next one made\n%s\nwant\n%s", end, steps, got, want)
			}
		})
	}
	all.Wait()
	t.Logf("%d steps", steps)
}

// live lets a worker work until it dies at a step, and another one after it. It returns the digests of the results.
func live(t *testing.T, end int) (digests string, steps int) {
	t.Helper()
	server, err := embed.Start(embed.Config{Dir: t.TempDir(), Port: -1})
	if err != nil {
		t.Error(err)
		return "", 0
	}
	defer server.Shutdown()
	folder := t.TempDir()
	w := &world{t, connectTo(t, server.URL(), folder)}
	w.another(run)
	rows := make([]schemas.Score, 12000) // claim-checked
	for i := range rows {
		rows[i].ExampleID = fmt.Sprintf("%08d", i*7919)
	}
	put(w, "root", 0, "k", rows)
	put(w, "pair", 0, "a", []schemas.Score{{ExampleID: "a"}})
	put(w, "gather", 0, "pair", []schemas.Gather{{Key: "a"}})

	f := &fate{}
	_, port, _ := strings.Cut(strings.TrimPrefix(server.URL(), "nats://"), ":")
	first := connectTo(t, "nats://"+doomedWire(t, "127.0.0.1:"+port, f), folder)
	first.Store = doomed{first.Store, f}
	f.begin(end)
	stop := runLine(first)
	settled := func() bool { return end > 0 && f.count() >= end || w.finished() }
	for limit := time.Now().Add(time.Minute); !settled() && time.Now().Before(limit); {
		time.Sleep(5 * time.Millisecond)
	}
	steps = f.count()
	first.Broker.Close()
	stop()
	second := connectTo(t, server.URL(), folder)
	stop = runLine(second)
	defer stop()
	for limit := time.Now().Add(time.Minute); !w.finished(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(limit) {
			t.Errorf("after a death at step %d the work is not finished within a minute", end)
			return "", steps
		}
	}
	return w.digests(), steps
}

// runLine is a worker of both stages, which cannot be told when it is dead.
func runLine(c *courier.Courier) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	wk := &worker.Worker{
		Courier: c, Stages: []stages.Stage{doer{perItem, attach}, doer{gathering, threeSteps}}, Name: "w", Slots: 1,
		AckWait: time.Second, Log: slog.New(slog.DiscardHandler),
	}
	done := make(chan error, 1)
	go func() { done <- wk.Run(ctx) }()
	return func() { cancel(); <-done }
}

// attach answers with the rows it got, and attaches a file.
func attach(ctx context.Context, in stages.Input, out stages.Output) error {
	if err := out.Attach(ctx, "tree", strings.NewReader(in.Header.Key)); err != nil {
		return err
	}
	return echo(ctx, in, out)
}

// threeSteps writes a checkpoint after each of three steps, and resumes.
func threeSteps(ctx context.Context, in stages.Input, out stages.Output) error {
	step := 0
	if in.Resume != nil {
		b, err := fs.ReadFile(in.Resume, "state")
		if err != nil {
			return err
		}
		if _, err := fmt.Sscan(string(b), &step); err != nil {
			return stages.Reject(err)
		}
	}
	for ; step < 3; step++ {
		if err := out.Checkpoint(ctx, step+1, file("state", fmt.Sprint(step+1))); err != nil {
			return err
		}
	}
	b, err := schemas.Encode(in.Header, []schemas.Score{{ExampleID: fmt.Sprint(step)}})
	if err != nil {
		return err
	}
	return out.Result(b)
}

// finished tells whether nothing is left to do in either queue.
func (w *world) finished() bool {
	for _, at := range []broker.Address{
		{Run: run, Record: "candidate", Key: "k"}, {Run: run, Record: "policy", Round: 1, Key: "policy"},
	} {
		if there, err := w.c.Broker.Has(w.t.Context(), at); err != nil || !there {
			return false
		}
	}
	for _, stage := range []string{"expand", "update"} {
		pending, inWork, err := w.c.Broker.Depth(w.t.Context(), run, stage)
		if err != nil || pending+inWork > 0 {
			return false
		}
	}
	return true
}

// digests are the digests of the results, and the number of failures.
func (w *world) digests() string {
	var all []string
	for m, err := range w.c.Broker.List(w.t.Context(), run, "*.*.*") {
		if err != nil {
			return err.Error()
		}
		if m.Record == "candidate" || m.Record == "policy" || m.Record == "failed" {
			all = append(all, fmt.Sprintf("%s.%d.%s %s", m.Record, m.Round, m.Key, m.Header["itool-sha256"]))
		}
	}
	slices.Sort(all)
	return strings.Join(all, "\n")
}
