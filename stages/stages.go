// Package stages is the contract between a stage and whoever runs it.
//
// A stage turns one item into exactly one result. It knows its neighbours only
// as records of package schemas: not the broker that carries them, not the
// store that keeps them, not the other stages.
//
// What redelivery demands: the same item may arrive again after a crash, even
// while another worker still holds it, and must then give the same bytes (on one
// kind of CPU). So every random choice comes from Input.Header.Seed, and nothing
// else may be random: no clock, no map order, no worker name.
package stages

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"

	"itool/schemas"
)

// A Stage is called by many goroutines at once unless its Spec gathers a round.
type Stage interface {
	Spec() Spec
	// Process reads in and calls out.Result exactly once before it returns nil.
	//
	// Errors: a plain error means try again (it counts as a failed attempt),
	// Reject means never, ctx.Err() means stop, it is nobody's fault.
	Process(ctx context.Context, in Input, out Output) error
}

// Spec says what wakes a stage and what it answers with.
type Spec struct {
	Name   string   // also the durable consumer and the configuration section
	Wakes  string   // record that wakes it: a task, a result, or the record whose gather it awaits
	Gather bool     // woken by the gather of Wakes and given the whole round
	Reads  string   // schema of the batches in Input.Batches, e.g. "example/v1"
	Also   []string // further records of the run that it reads through Input.Round
	Writes string   // record of its result
	Schema string   // schema of its result
	// NextRound is set by the stages that answer with the policy of the round
	// after the one that woke them.
	NextRound bool
	// NoPolicy is set by stages that need no weights.
	NoPolicy bool
}

// Filter is what the stage's queue holds: "record.round.key" with * for any.
func (s Spec) Filter() string {
	if s.Gather {
		return "gather.*." + s.Wakes
	}
	return s.Wakes + ".*.*"
}

// Input is one item, or one gathered round. It is valid until Process returns.
type Input struct {
	Header schemas.Header  // of the message that woke the stage
	Config json.RawMessage // the stage's section of the run's frozen configuration; see Decode

	// Policy is the checkpoint whose digest is Header.Policy: config.json,
	// weights, tokenizer.json, chat template and, after the first training, a
	// PEFT adapter. nil when Spec.NoPolicy.
	Policy       fs.FS
	PolicyDigest string

	// Resume is the newest checkpoint that an earlier try at this item left, or nil.
	Resume fs.FS

	// Batches is the one batch that woke the stage, or, for a stage that gathers,
	// the results of the round in key order. Failed is what the gather lists
	// without a result.
	Batches iter.Seq2[schemas.Batch, error]
	Failed  []string

	// Round reads another record that Spec.Also names, in key order.
	Round func(record string, round int) iter.Seq2[schemas.Batch, error]

	// Dataset opens a published file by its storage key and verifies its digest
	// while it is read. Only split uses it.
	Dataset func(key string) (io.ReadCloser, error)
}

// Decode reads the stage's configuration over into, which holds the defaults.
// An unknown key is an error.
func (in Input) Decode(into any) error {
	if len(in.Config) == 0 {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(in.Config))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		return Reject(fmt.Errorf("configuration: %w", err))
	}
	return nil
}

// Create opens a file of a checkpoint for writing; it is complete once closed.
type Create = func(name string) (io.WriteCloser, error)

// Output takes what a stage has to say. Its methods may be called from one
// goroutine at a time.
type Output interface {
	// Result deposits the item's result. The header's Run, Round, Key and digests
	// are filled in by whoever runs the stage.
	Result(b schemas.Batch) error
	// Attach stores a document beside the result, for people: a log, a picture.
	Attach(ctx context.Context, name string, r io.Reader) error
	// Save stores a policy: the files of Input.Policy, less those named in drop,
	// with those that write creates added or replaced. It returns the checkpoint's
	// digest. While the store is away write may be called again: it must write the
	// same bytes.
	Save(ctx context.Context, write func(Create) error, drop ...string) (digest string, err error)
	// Checkpoint stores how far a long item has come; after a crash the newest one
	// comes back as Input.Resume. write may be called again, as in Save.
	Checkpoint(ctx context.Context, step int, write func(Create) error) error
	// Progress says how far the item is. It costs nothing and may be lost.
	Progress(done, total int, unit, detail string)
}

// rejected marks an error that no retry will cure.
type rejected struct{ error }

func (r rejected) Unwrap() error { return r.error }

// Reject says that the item can never be processed: it is parked at once, with
// this error as the reason.
func Reject(err error) error { return rejected{err} }

// IsReject reports whether err, or an error it wraps, came from Reject.
func IsReject(err error) bool {
	var r rejected
	return errors.As(err, &r)
}

// Rows decodes and concatenates all batches of seq, in order.
func Rows[R schemas.Record](seq iter.Seq2[schemas.Batch, error]) ([]R, error) {
	var all []R
	for b, err := range seq {
		if err != nil {
			return nil, err
		}
		rows, err := schemas.Decode[R](b)
		if err != nil {
			return nil, Reject(err)
		}
		all = append(all, rows...)
	}
	return all, nil
}

// One returns the rows of a stage that is woken by a single batch.
func One[R schemas.Record](in Input) ([]R, error) { return Rows[R](in.Batches) }

// Seed derives a seed from another one and a purpose, so that no two choices of
// a run share their randomness and none depends on the order of work.
func Seed(parent uint64, purpose string, n int) uint64 {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:8], parent)
	binary.LittleEndian.PutUint64(b[8:], uint64(n))
	h := sha256.New()
	h.Write(b[:])
	io.WriteString(h, purpose)
	return binary.LittleEndian.Uint64(h.Sum(nil))
}
