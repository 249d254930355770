package progress_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"itool/ops/courier"
	"itool/ops/courier/couriertest"
	"itool/ops/progress"
	"itool/schemas"
)

// text is a writer that a test may read meanwhile.
type text struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (t *text) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.Write(p)
}

func (t *text) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.b.String()
}

func publish[R schemas.Record](t *testing.T, c *courier.Courier, record, key string, rows ...R) {
	t.Helper()
	b, err := schemas.Encode(schemas.Header{Run: "r1", Key: key, Worker: "w"}, rows)
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
	var out text
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
