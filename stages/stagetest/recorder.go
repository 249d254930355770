package stagetest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/fstest"

	"itool/schemas"
	"itool/stages"
)

// Recorder is an Output that keeps in memory what a stage gave it.
type Recorder struct {
	Results     []schemas.Batch
	Attached    map[string][]byte // by name
	Saved       []Saved           // by Save, in order
	Checkpoints []Step            // by Checkpoint, in order
	Steps       []string          // by Progress, in order, such as "3/10 steps: loss 0.7"

	OnProgress func()                    // called at every Progress, if set
	OnStep     func(step int)            // called after every Checkpoint, if set
	Refuse     func(schemas.Batch) error // answers Result instead, if set

	t      testing.TB
	policy map[string][]byte
	digest string
	mu     sync.Mutex
}

var _ stages.Output = (*Recorder)(nil)

// Saved is a policy that a stage saved: all its files, those of its parent included.
type Saved struct {
	Digest string
	Files  fs.FS
}

// Step is a checkpoint of a long item; its Files can be an Item.Resume.
type Step struct {
	Step  int
	Files fs.FS
}

// NewRecorder makes the Output that belongs to an Input.
func NewRecorder(t testing.TB, in stages.Input) *Recorder {
	r := &Recorder{t: t, digest: in.PolicyDigest, Attached: map[string][]byte{}}
	if in.Policy != nil {
		r.policy = files(t, in.Policy)
	}
	return r
}

// Process runs the stage on a fresh Input of the item.
func Process(ctx context.Context, t testing.TB, stage stages.Stage, item Item) (*Recorder, error) {
	t.Helper()
	in := item.Input(t)
	out := NewRecorder(t, in)
	return out, stage.Process(ctx, in, out)
}

// Killed runs the stage on a fresh Input of the item and cancels it at its Progress
// number after. The stage must then end with context.Canceled. The test goes on with
// the checkpoint that the recorder's Newest returns.
func Killed(t testing.TB, stage stages.Stage, item Item, after int) *Recorder {
	t.Helper()
	ctx, kill := context.WithCancel(t.Context())
	defer kill()
	in := item.Input(t)
	out := NewRecorder(t, in)
	reports := 0
	out.OnProgress = func() {
		if reports++; reports == after {
			kill()
		}
	}
	if err := stage.Process(ctx, in, out); !errors.Is(err, context.Canceled) {
		t.Fatalf("killed after %d reports of progress: err = %v, want context.Canceled", after, err)
	}
	return out
}

// Newest returns the files of the newest checkpoint, or nil if none was stored.
func (r *Recorder) Newest() fs.FS {
	if len(r.Checkpoints) == 0 {
		return nil
	}
	return r.Checkpoints[len(r.Checkpoints)-1].Files
}

// Rows runs the stage, which must succeed, and decodes its result.
func Rows[R schemas.Record](t testing.TB, stage stages.Stage, item Item) []R {
	t.Helper()
	out, err := Process(t.Context(), t, stage, item)
	if err != nil {
		t.Fatalf("%s: %v", stage.Spec().Name, err)
	}
	return Decode[R](t, out)
}

// Decode returns the rows of the one result.
func Decode[R schemas.Record](t testing.TB, out *Recorder) []R {
	t.Helper()
	if len(out.Results) != 1 {
		t.Fatalf("%d results, want 1", len(out.Results))
	}
	rows, err := schemas.Decode[R](out.Results[0])
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

// One returns the only row of the one result.
func One[R schemas.Record](t testing.TB, out *Recorder) R {
	t.Helper()
	rows := Decode[R](t, out)
	if len(rows) != 1 {
		t.Fatalf("%d rows, want 1", len(rows))
	}
	return rows[0]
}

// JSON decodes a text of a row, such as the metrics of a policy.
func JSON[T any](t testing.TB, text string) (v T) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return v
}

// Result keeps a batch.
func (r *Recorder) Result(b schemas.Batch) error {
	if r.Refuse != nil {
		return r.Refuse(b)
	}
	r.Results = append(r.Results, b)
	return nil
}

// Attach keeps a document.
func (r *Recorder) Attach(ctx context.Context, name string, src io.Reader) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	data, err := io.ReadAll(src)
	if err == nil {
		r.Attached[name] = data
	}
	return err
}

// Save keeps a policy. If nothing was written or dropped, it is the same policy and
// keeps its digest.
func (r *Recorder) Save(ctx context.Context, write func(stages.Create) error, drop ...string) (string, error) {
	written, err := r.write(ctx, write)
	if err != nil {
		return "", err
	}
	all := maps.Clone(r.policy)
	if all == nil {
		all = map[string][]byte{}
	}
	for _, name := range drop {
		delete(all, name)
	}
	maps.Copy(all, written)
	sum := r.digest
	if len(written)+len(drop) > 0 {
		sum = digest(r.t, all)
	}
	r.Saved = append(r.Saved, Saved{sum, mapFS(all)})
	return sum, nil
}

// Checkpoint keeps a step.
func (r *Recorder) Checkpoint(ctx context.Context, step int, write func(stages.Create) error) error {
	written, err := r.write(ctx, write)
	if err != nil {
		return err
	}
	r.Checkpoints = append(r.Checkpoints, Step{step, mapFS(written)})
	if r.OnStep != nil {
		r.OnStep(step)
	}
	return nil
}

// Progress keeps the report in Steps.
func (r *Recorder) Progress(done, total int, unit, detail string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Steps = append(r.Steps, fmt.Sprintf("%d/%d %s: %s", done, total, unit, detail))
	if r.OnProgress != nil {
		r.OnProgress()
	}
}

func (r *Recorder) write(ctx context.Context, write func(stages.Create) error) (map[string][]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	written := map[string][]byte{}
	open := 0
	err := write(func(name string) (io.WriteCloser, error) {
		if !fs.ValidPath(name) || name == "." {
			return nil, fmt.Errorf("checkpoint: %q is not a file name", name)
		}
		open++
		return &file{close: func(data []byte) { written[name] = data; open-- }}, nil
	})
	if err == nil && open != 0 {
		err = fmt.Errorf("checkpoint: %d files were not closed", open)
	}
	return written, err
}

// Create opens files that are in files once they are closed, for tests that make a policy.
func Create(files fstest.MapFS) stages.Create {
	return func(name string) (io.WriteCloser, error) {
		return &file{close: func(data []byte) { files[name] = &fstest.MapFile{Data: data} }}, nil
	}
}

type file struct {
	bytes.Buffer
	close func([]byte)
}

func (f *file) Close() error {
	if f.close == nil {
		return errors.New("closed twice")
	}
	f.close(bytes.Clone(f.Bytes()))
	f.close = nil
	return nil
}

func files(t testing.TB, fsys fs.FS) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	err := fs.WalkDir(fsys, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		all[name], err = fs.ReadFile(fsys, name)
		return err
	})
	if err != nil {
		t.Fatalf("stagetest: policy: %v", err)
	}
	return all
}

func mapFS(all map[string][]byte) fs.FS {
	fsys := fstest.MapFS{}
	for name, data := range all {
		fsys[name] = &fstest.MapFile{Data: data}
	}
	return fsys
}

func digest(t testing.TB, all map[string][]byte) string {
	t.Helper()
	h := sha256.New()
	for _, name := range slices.Sorted(maps.Keys(all)) {
		fmt.Fprintf(h, "%q %d\n", name, len(all[name]))
		h.Write(all[name])
	}
	return hex.EncodeToString(h.Sum(nil))
}
