// Package stagetest tests every stage against the contract of package stages: the same
// item gives the same bytes, a cancelled context stops the stage, its result is valid
// rows of the schema that it names, and junk is rejected without a panic.
//
// It also gives a stage's own tests an in-memory Item and a Recorder for the output:
//
//	rows := stagetest.Rows[schemas.Score](t, score.New(engine), stagetest.Item{
//		Policy:  policytest.Tiny(1),
//		Batches: []schemas.Batch{stagetest.Batch(t, "b1", examples...)},
//	})
//
// It knows no broker and no store, and no stage but through the contract.
package stagetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"itool/schemas"
	"itool/stages"
)

// Case is what Run needs besides the stage.
type Case struct {
	Item Item // a small one that the stage can process
}

// Run tests a stage against the contract, in subtests.
func Run(t *testing.T, stage stages.Stage, c Case) {
	s := suite{stage: stage, spec: stage.Spec(), item: c.Item}
	t.Run("spec", s.testSpec)
	var first *Recorder
	if !t.Run("result", func(t *testing.T) { first = s.testResult(t) }) {
		return // all subtests below compare with this result
	}
	t.Run("again", func(t *testing.T) { s.testAgain(t, first) })
	t.Run("resume", func(t *testing.T) { s.testResume(t, first) })
	t.Run("cancelled", s.testCancelled)
	t.Run("cancelled midway", func(t *testing.T) { s.testMidway(t, first) })
	t.Run("junk", s.testJunk)
	t.Run("configuration", s.testConfig)
	t.Run("store", s.testStore)
	t.Run("policy", s.testPolicy)
	t.Run("nothing", s.testNothing)
}

type suite struct {
	stage stages.Stage
	spec  stages.Spec
	item  Item
}

func (s suite) testSpec(t *testing.T) {
	for _, f := range []struct{ name, value string }{
		{"Name", s.spec.Name}, {"Wakes", s.spec.Wakes}, {"Writes", s.spec.Writes},
	} {
		if err := schemas.ValidName(f.value); err != nil {
			t.Errorf("Spec.%s: %v", f.name, err)
		}
	}
	if _, err := count(schemas.Batch{Header: schemas.Header{Schema: s.spec.Schema}}); errors.Is(err, errUnknown) {
		t.Errorf("Spec.Schema %q has no case in stagetest's count", s.spec.Schema)
	}
	if s.spec.NextRound && !s.spec.Gather {
		t.Error("Spec.NextRound without Gather: only a whole round leads to the next")
	}
	if a, b := s.spec, s.stage.Spec(); !reflect.DeepEqual(a, b) {
		t.Errorf("Spec changed from %+v to %+v", a, b)
	}
}

func (s suite) testResult(t *testing.T) *Recorder {
	out, err := Process(t.Context(), t, s.stage, s.item)
	if err != nil {
		t.Fatal(err)
	}
	if len(out.Results) != 1 {
		t.Fatalf("%d results, want exactly 1", len(out.Results))
	}
	b := out.Results[0]
	if b.Header.Schema != s.spec.Schema {
		t.Fatalf("result is %s, Spec.Schema is %s", b.Header.Schema, s.spec.Schema)
	}
	if _, err := count(b); err != nil {
		t.Fatalf("result does not decode: %v", err)
	}
	return out
}

// testAgain processes the same item again: twice at once, unless the stage gathers.
func (s suite) testAgain(t *testing.T, want *Recorder) {
	runs := 2
	if s.spec.Gather {
		runs = 1
	}
	outs := make([]*Recorder, runs)
	var wg sync.WaitGroup
	for i := range outs {
		in := s.item.Input(t)
		outs[i] = NewRecorder(t, in)
		wg.Go(func() {
			if err := s.stage.Process(t.Context(), in, outs[i]); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, out := range outs {
		same(t, out, want)
	}
}

// testResume: a stage that resumes from any checkpoint ends with the same bytes.
func (s suite) testResume(t *testing.T, want *Recorder) {
	n := len(want.Checkpoints)
	if n == 0 {
		return // short items write none
	}
	for _, i := range slices.Compact([]int{0, n / 2, n - 1}) {
		item := s.item
		item.Resume = want.Checkpoints[i].Files
		out, err := Process(t.Context(), t, s.stage, item)
		if err != nil {
			t.Fatalf("from step %d: %v", want.Checkpoints[i].Step, err)
		}
		same(t, out, want)
	}
}

func (s suite) testCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	out, err := Process(ctx, t, s.stage, s.item)
	if !errors.Is(err, context.Canceled) || stages.IsReject(err) {
		t.Errorf("err = %v, want context.Canceled and no Reject", err)
	}
	if len(out.Results) != 0 {
		t.Error("there is a result in spite of the cancellation")
	}
}

// testMidway: a stage that is cancelled while it works stops, or ends with the right result.
func (s suite) testMidway(t *testing.T, want *Recorder) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	in := s.item.Input(t)
	out := NewRecorder(t, in)
	out.OnProgress = cancel
	seq := in.Batches
	in.Batches = func(yield func(schemas.Batch, error) bool) {
		for b, err := range seq {
			if !yield(b, err) {
				break
			}
		}
		if len(want.Steps) == 0 { // without progress reports: cancel when all is read
			cancel()
		}
	}
	switch err := s.stage.Process(ctx, in, out); {
	case err == nil:
		same(t, out, want)
	case !errors.Is(err, context.Canceled) || stages.IsReject(err):
		t.Errorf("err = %v, want context.Canceled and no Reject", err)
	}
}

// testJunk: a batch that is not of Spec.Reads is rejected without a panic.
func (s suite) testJunk(t *testing.T) {
	if len(s.item.Batches) == 0 {
		t.Fatal("Case.Item has no batch to spoil")
	}
	good := s.item.Batches[0]
	half := len(good.Body) / 2
	other := Batch(t, good.Header.Key, schemas.End{Status: schemas.StatusDone})
	for _, c := range []struct {
		name  string
		batch schemas.Batch
	}{
		{"no body", schemas.Batch{Header: good.Header}},
		{"cut body", spoil(good, func(b []byte) []byte { return b[:half] })},
		{"flipped byte", spoil(good, func(b []byte) []byte { b[half] ^= 0xFF; return b })},
		{"text as body", spoil(good, func([]byte) []byte { return []byte("PK\x03\x04 not a batch") })},
		{"another record", other},
		{"another record's body", schemas.Batch{Header: good.Header, Body: other.Body}},
	} {
		t.Run(c.name, func(t *testing.T) {
			item := s.item
			item.Batches = slices.Concat([]schemas.Batch{c.batch}, s.item.Batches[1:])
			s.mustReject(t, item, "")
		})
	}
}

// spoil changes a copy of the body. If its length changes the header's digest is
// removed, because a foreign writer can leave it out. Otherwise the digest stays, because
// a body with one flipped byte can be valid data.
func spoil(b schemas.Batch, change func([]byte) []byte) schemas.Batch {
	before := len(b.Body)
	b.Body = change(bytes.Clone(b.Body))
	if len(b.Body) != before {
		b.Header.SHA256 = ""
	}
	return b
}

func (s suite) testConfig(t *testing.T) {
	for _, c := range []struct{ name, config, want string }{
		{"unknown key", `{"no_such_key": 1}`, "no_such_key"},
		{"not an object", `["x"]`, ""},
		{"cut off", `{`, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			item := s.item
			item.Config = json.RawMessage(c.config)
			s.mustReject(t, item, c.want)
		})
	}
}

// testStore: errors of the store are passed on unchanged, so that the item is retried.
func (s suite) testStore(t *testing.T) {
	in := s.item.Input(t)
	in.Batches = broken
	out := NewRecorder(t, in)
	if err := s.stage.Process(t.Context(), in, out); !errors.Is(err, errInfra) || stages.IsReject(err) {
		t.Errorf("unreadable batch: err = %v, want the store's own error and no Reject", err)
	}
	in = s.item.Input(t)
	out = NewRecorder(t, in)
	out.Refuse = func(schemas.Batch) error { return errInfra }
	if err := s.stage.Process(t.Context(), in, out); !errors.Is(err, errInfra) {
		t.Errorf("refused result: err = %v, want the output's own error", err)
	}
}

// testPolicy: a checkpoint that is not a model is an error and no panic.
func (s suite) testPolicy(t *testing.T) {
	if s.spec.NoPolicy {
		return
	}
	for name, fsys := range map[string]fs.FS{
		"empty":   fstest.MapFS{},
		"nothing": fstest.MapFS{"config.json": {Data: []byte("{")}},
	} {
		item := s.item
		item.Policy, item.Digest = fsys, "broken-"+name
		if out, err := Process(t.Context(), t, s.stage, item); err == nil {
			t.Errorf("policy %s: no error, %d results", name, len(out.Results))
		}
	}
}

// testNothing: an item without a batch has a result or an error.
func (s suite) testNothing(t *testing.T) {
	item := s.item
	item.Batches = nil
	out, err := Process(t.Context(), t, s.stage, item)
	if err == nil && len(out.Results) != 1 {
		t.Errorf("no batch: no error and %d results", len(out.Results))
	}
}

func (s suite) mustReject(t *testing.T, item Item, want string) {
	t.Helper()
	out, err := Process(t.Context(), t, s.stage, item)
	if !stages.IsReject(err) {
		t.Fatalf("err = %v, want a Reject", err)
	}
	if !strings.Contains(err.Error(), want) {
		t.Errorf("err = %v, want it to name %q", err, want)
	}
	if len(out.Results) != 0 {
		t.Error("there is a result in spite of the rejection")
	}
}

func same(t *testing.T, got, want *Recorder) {
	t.Helper()
	if len(got.Results) != 1 || !bytes.Equal(got.Results[0].Body, want.Results[0].Body) {
		t.Errorf("the same item gave another result:\n%s\n%s", show(got), show(want))
	}
	if len(got.Saved) != len(want.Saved) {
		t.Errorf("%d policies saved, %d before", len(got.Saved), len(want.Saved))
		return
	}
	for i := range got.Saved {
		if got.Saved[i].Digest != want.Saved[i].Digest {
			t.Errorf("saved policy %d has digest %.12s, before %.12s", i, got.Saved[i].Digest, want.Saved[i].Digest)
		}
	}
	if !reflect.DeepEqual(got.Attached, want.Attached) {
		t.Error("the attached documents differ")
	}
}

func show(r *Recorder) string {
	if len(r.Results) != 1 {
		return "no result"
	}
	h := r.Results[0].Header
	return h.Schema + " " + h.SHA256
}

var errUnknown = errors.New("stagetest: unknown record")

// count decodes a batch of any record that a stage can write, and counts its rows. A new record
// of a stage needs a case here.
func count(b schemas.Batch) (int, error) {
	name, _, _ := strings.Cut(b.Header.Schema, "/")
	switch name {
	case schemas.RecordExample:
		return countOf[schemas.Example](b)
	case schemas.RecordPolicy:
		return countOf[schemas.Policy](b)
	case schemas.RecordScore:
		return countOf[schemas.Score](b)
	case schemas.RecordSelection:
		return countOf[schemas.Selection](b)
	case schemas.RecordCandidate:
		return countOf[schemas.Candidate](b)
	case schemas.RecordPair:
		return countOf[schemas.Pair](b)
	case schemas.RecordVerdict:
		return countOf[schemas.Verdict](b)
	}
	return 0, errUnknown
}

func countOf[R schemas.Record](b schemas.Batch) (int, error) {
	rows, err := schemas.Decode[R](b)
	return len(rows), err
}
