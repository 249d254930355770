package progress_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"itool/ops/courier"
	"itool/ops/courier/couriertest"
	"itool/ops/line"
	"itool/ops/progress"
	"itool/schemas"
)

// safe is a writer that a test may read meanwhile.
type safe struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (t *safe) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.Write(p)
}

func (t *safe) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}

func publish[R schemas.Record](t *testing.T, c *courier.Courier, record, key string, rows ...R) {
	t.Helper()
	publishIn(t, c, 0, record, key, rows...)
}

func publishIn[R schemas.Record](t *testing.T, c *courier.Courier, round int, record, key string, rows ...R) {
	t.Helper()
	b, err := schemas.Encode(schemas.Header{Run: "r1", Round: round, Key: key, Worker: "w"}, rows)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Publish(t.Context(), record, b, nil); err != nil {
		t.Fatal(err)
	}
}

// TestFollowWarns: who watches a run reads of answers that run out of length once its trees are opened.
func TestFollowWarns(t *testing.T) {
	c := couriertest.Open(t)
	if err := c.Broker.CreateRun(t.Context(), "r1", 1<<30); err != nil {
		t.Fatal(err)
	}
	publish(t, c, schemas.RecordRun, schemas.KeyRun,
		schemas.Run{Name: "r1", Dataset: "[]", Config: `{"expand":{"max_answer_tokens":96}}`})
	publish(t, c, schemas.RecordSelection, schemas.KeySelection, schemas.Selection{
		ExampleID: "e1", Selected: true, Answers: 60, AnswersLimit: 256, AnswersTokens: 97, ReferenceTokens: 80,
	})
	publish(t, c, schemas.RecordManifest, schemas.RecordPair, schemas.Manifest{Key: "e1"})
	var out safe
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	var all sync.WaitGroup
	all.Go(func() {
		d := progress.Display{Lines: &out, Warn: true, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}
		if err := progress.Follow(ctx, c, "r1", d); err != nil {
			t.Error(err)
		}
	})
	for ctx.Err() == nil && !strings.Contains(out.String(), "warning") {
		time.Sleep(10 * time.Millisecond)
	}
	cancel()
	all.Wait()
	const want = "search with warm-up: warning: of 60 answers to validation examples more than one in twenty " +
		"have over 96 tokens, at which the search cuts them (expand.max_answer_tokens); " +
		"the longest reference has 80 tokens, so answers need room for 176. " +
		"In a new run: --set expand.max_answer_tokens=176 (the search's limit is now 96)"
	if !strings.Contains(out.String(), want) {
		t.Errorf("got %q, want %q", out.String(), want)
	}
}

// evaluated publishes a policy and the verdicts on it: how many of 4 answers are right.
func evaluated(t *testing.T, c *courier.Courier, round, right int) {
	t.Helper()
	publishIn(t, c, round, schemas.RecordPolicy, schemas.KeyPolicy,
		schemas.Policy{Status: schemas.StatusTrained, Examples: 112, Steps: 14, Checkpoint: "c", Base: "b"})
	publishIn(t, c, round, schemas.RecordManifest, schemas.RecordVerdict, schemas.Manifest{Key: "b0"})
	var rows []schemas.Verdict
	for i := range 4 {
		rows = append(rows, schemas.Verdict{ExampleID: "e", HasCall: true, Pass: i < right})
	}
	publishIn(t, c, round, schemas.RecordVerdict, "b0", rows...)
	publishIn(t, c, round, schemas.RecordGather, schemas.RecordVerdict, schemas.Gather{Key: "b0"})
}

// TestFollowOnATerminal: at 40, 80 and 200 columns a run shows its stages and its accuracy as soon as it is known;
// of a round that is over one line stays, and nothing else.
func TestFollowOnATerminal(t *testing.T) {
	for _, columns := range []int{40, 80, 200} {
		t.Run(fmt.Sprint(columns), func(t *testing.T) {
			t.Parallel()
			c := couriertest.Open(t)
			if err := c.Broker.CreateRun(t.Context(), "r1", 1<<30); err != nil {
				t.Fatal(err)
			}
			say(t, c, "r1", line.Status{})
			publish(t, c, schemas.RecordRun, schemas.KeyRun,
				schemas.Run{Name: "r1", Dataset: "[]", Config: `{"line":{"rounds":2}}`})
			publish(t, c, schemas.RecordManifest, schemas.RecordExample, schemas.Manifest{Key: "s0"})
			s := newTerminal(t, columns, 24)
			bars := progress.NewBars(s, false, s.size)
			ctx, cancel := context.WithCancel(t.Context())
			var all sync.WaitGroup
			all.Go(func() {
				d := progress.Display{Bars: bars, Log: slog.New(slog.NewTextHandler(bars, nil))}
				if err := progress.Follow(ctx, c, "r1", d); err != nil {
					t.Error(err)
				}
			})
			defer all.Wait()
			defer cancel()
			s.shows("0/1")
			evaluated(t, c, 0, 1)
			s.shows("warm-up  25 % right")
			s.shows("right answers: warm-up 25 %")
			publish(t, c, schemas.RecordManifest, schemas.RecordScore, schemas.Manifest{Key: "b0"})
			s.shows("round 1 of 2")
			shown := s.text()
			evaluated(t, c, 1, 3)
			s.shows("round 1  75 % right (+50)")
			cancel()
			all.Wait()
			left := strings.Split(s.text(), "\n")
			if len(left) != 2 || !strings.HasPrefix(left[0]+left[1], "warm-up  25") ||
				!strings.HasPrefix(left[1], "round 1  75") {
				t.Errorf("there stays:\n%s", s.text())
			}
			if len(s.wrapped) > 0 || strings.Count(shown, "evaluate") != 1 {
				t.Errorf("lines that wrap: %q; on the screen was\n%s", s.wrapped, shown)
			}
			t.Logf("\n%s", shown)
		})
	}
}
