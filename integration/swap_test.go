package integration

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"itool/broker"
	"itool/integration/rig"
	"itool/ops/courier"
	"itool/ops/report"
	"itool/schemas"
)

// oneRound makes the small run shorter, for tests that need one round only.
const oneRound = "line.rounds=1"

// TestSwapAStage: no worker runs filter; another program does its work. The run ends as usual,
// with the pairs of that program, and the results of all other stages are the same.
func TestSwapAStage(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the whole line three times, about 20 seconds; the full test run does it")
	}
	undisturbed := inOneProcess(t, oneRound)
	otherRecords := []string{"example", "score", "selection", "candidate"}
	others := bodies(t, undisturbed, otherRecords...)
	ours := bodies(t, undisturbed, "pair")
	for _, c := range []struct {
		name, worker string
		start        func(k *cluster)
	}{
		{"another program in Go, which uses only broker and schemas", "foreign", func(k *cluster) {
			f := foreign{k.site.Broker, name}
			ctx, cancel := context.WithCancel(k.t.Context())
			done := make(chan error, 1)
			go func() { done <- f.run(ctx) }()
			k.t.Cleanup(func() {
				cancel()
				if err := <-done; !errors.Is(err, context.Canceled) {
					k.t.Errorf("the foreign worker ended with %v", err)
				}
			})
		}},
		{"the guide's worker in Python", "python/1", startGuide},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := up(t)
			c.start(k)
			k.publish(oneRound)
			k.work("split", "warmup", "score", "select", "expand", "update", "evaluate")
			k.end()
			if diff := cmp.Diff(others, bodies(t, k.site.Courier, otherRecords...)); diff != "" {
				t.Errorf("the results of other stages have changed (- undisturbed, + swapped):\n%s", diff)
			}
			pairs := 0
			for m, err := range k.site.Broker.List(t.Context(), name, "pair.*.*") {
				if err != nil {
					t.Fatal(err)
				}
				pairs++
				if w := m.Header["itool-worker"]; w != c.worker {
					t.Errorf("%v was written by %q, want %q", m.Address, w, c.worker)
				}
			}
			if pairs == 0 || pairs != len(ours) {
				t.Errorf("%d results of filter, want %d", pairs, len(ours))
			}
			if fmt.Sprint(bodies(t, k.site.Courier, "pair")) == fmt.Sprint(ours) {
				t.Error("the foreign filter gave the same bytes as ours: the test proves nothing")
			}
			policies(t, k.site.Courier) // checks that warm-up and update both trained
			var r report.Report
			out, _ := k.itool("report", name, "--json")
			if err := json.Unmarshal([]byte(out), &r); err != nil {
				t.Fatalf("report: %v\n%s", err, out)
			}
			if r.Status != "done" || len(r.Rounds) != 1 || r.Rounds[0].Pairs == 0 {
				t.Errorf("the report says %s, with the rounds %+v", r.Status, r.Rounds)
			}
		})
	}
}

// bodies are the digests of the bodies of some records, by record, round and key.
func bodies(t *testing.T, c *courier.Courier, records ...string) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, record := range records {
		n := len(out)
		for m, err := range c.Broker.List(t.Context(), name, record+".*.*") {
			if err != nil {
				t.Fatal(err)
			}
			out[fmt.Sprintf("%s.%d.%s", m.Record, m.Round, m.Key)] = m.Header["itool-sha256"]
		}
		if len(out) == n {
			t.Fatalf("the run has no %s", record)
		}
	}
	return out
}

// startGuide starts the Python program of the guide, unchanged.
func startGuide(k *cluster) {
	k.t.Helper()
	python, err := exec.LookPath("python3")
	if err != nil {
		k.t.Skipf("no python3 runs the guide's worker: %v", err)
	}
	if err := exec.Command(python, "-c", "import nats, pyarrow").Run(); err != nil {
		k.t.Skip("python3 lacks nats-py or pyarrow, which the guide's worker needs: pip install nats-py pyarrow")
	}
	page, err := os.ReadFile("../ops/guide/swap-stage.md")
	if err != nil {
		k.t.Fatal(err)
	}
	_, program, found := strings.Cut(string(page), "```python\n")
	program, _, closed := strings.Cut(program, "```\n")
	if !found || !closed {
		k.t.Fatal("the guide has no Python program")
	}
	file := filepath.Join(k.t.TempDir(), "filter_worker.py")
	if err := os.WriteFile(file, []byte(program), 0o600); err != nil {
		k.t.Fatal(err)
	}
	rig.StartProgram(k.t, k.site.Dir, python, file, k.site.Address, "disk:"+filepath.Join(k.site.Dir, "store"), name)
}

// foreign is another implementation of filter: of every node it pairs the best child with the
// worst one.
type foreign struct {
	b       *broker.Broker
	runName string
}

func (f foreign) run(ctx context.Context) error {
	hints, err := f.b.Listen(ctx, broker.Hint, f.runName)
	if err != nil {
		return err
	}
	for {
		err := f.next(ctx)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, broker.ErrNoRun), errors.Is(err, broker.ErrEmpty), errors.Is(err, broker.ErrUnavailable):
			select { // the run is not open, there is no item, or the broker is away
			case <-hints:
			case <-time.After(time.Second):
			case <-ctx.Done():
			}
		case err != nil:
			return err
		}
	}
}

// next takes one item from the queue and finishes it.
func (f foreign) next(ctx context.Context) error {
	queue, err := f.b.Pull(ctx, f.runName, "filter", []string{"candidate.*.*"}, broker.PullOptions{})
	if err != nil {
		return err
	}
	d, err := queue.Next(ctx)
	if err != nil {
		return err
	}
	beating, stop := context.WithCancel(ctx)
	beat := make(chan struct{})
	defer func() { stop(); <-beat }()
	go func() {
		defer close(beat)
		for {
			select {
			case <-beating.Done():
				return
			case <-time.After(queue.AckWait() / 3):
				_ = d.Heartbeat(beating) // if it fails, the item is only delivered again
			}
		}
	}()
	attempts, err := d.FailedAttempts(ctx)
	if err != nil {
		return err
	}
	record, result, err := "pair", schemas.Batch{}, errors.New("five workers died of this item")
	if attempts < 5 {
		result, err = f.filter(d.Message)
	}
	if err != nil {
		if attempts < 4 {
			return d.Retry(ctx, time.Second<<attempts)
		}
		if record, result, err = f.failed(d.Message, err); err != nil {
			return err
		}
	}
	to := d.Address
	to.Record = record
	if _, err := f.b.Publish(ctx, to, result.Header.Map(), result.Body); err != nil {
		return err
	}
	_ = f.b.Announce(ctx, broker.Hint, f.runName, nil) // without it the keeper looks later
	return d.Ack(ctx)
}

// filter makes the pairs of one tree.
func (f foreign) filter(m broker.Message) (schemas.Batch, error) {
	h, err := schemas.ParseHeader(m.Header)
	if err != nil {
		return schemas.Batch{}, err
	}
	if m.Header["itool-claim"] != "" {
		return schemas.Batch{}, errors.New("the tree lies in the store, which this worker cannot read")
	}
	tree, err := schemas.Decode[schemas.Candidate](schemas.Batch{Header: h, Body: m.Data})
	if err != nil {
		return schemas.Batch{}, err
	}
	path := make([][]int32, len(tree)) // prompt and answer up to a node
	best, worst := map[int32]schemas.Candidate{}, map[int32]schemas.Candidate{}
	for i, c := range tree {
		if i > 0 {
			path[i] = append(path[i], path[c.Parent]...)
		}
		path[i] = append(path[i], c.Tokens...)
		if b, ok := best[c.Parent]; !ok || c.Q > b.Q {
			best[c.Parent] = c
		}
		if w, ok := worst[c.Parent]; !ok || c.Q < w.Q {
			worst[c.Parent] = c
		}
	}
	var pairs []schemas.Pair
	for i := range tree {
		b, w := best[int32(i)], worst[int32(i)]
		if b.Node == w.Node || len(b.Tokens) == 0 || len(w.Tokens) == 0 || b.Tokens[0] == w.Tokens[0] {
			continue // one child only, or both begin with the same token
		}
		pairs = append(pairs, schemas.Pair{
			ExampleID: tree[0].ExampleID, Node: int32(i), PromptIDs: path[i],
			ChosenIDs: b.Tokens, ChosenText: b.Text, ChosenQ: b.Q,
			RejectedIDs: w.Tokens, RejectedText: w.Text, RejectedQ: w.Q,
		})
	}
	return schemas.Encode(f.header(h), pairs)
}

func (f foreign) failed(m broker.Message, cause error) (record string, b schemas.Batch, err error) {
	h, _ := schemas.ParseHeader(m.Header) // fields that do not parse stay empty
	h.Run, h.Round, h.Key = m.Run, m.Round, m.Key
	b, err = schemas.Encode(f.header(h), []schemas.Failed{{
		Stage: "filter", Subject: m.Address.String(), Worker: "foreign",
		Attempts: 5, Reason: "attempts", Error: cause.Error(),
	}})
	return "failed", b, err
}

// header is the header of a task's result.
func (foreign) header(task schemas.Header) schemas.Header {
	h := task
	h.Input, h.Worker = task.SHA256, "foreign"
	return h
}
