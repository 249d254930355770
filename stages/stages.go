// Package stages is the contract between a stage and the program that runs it.
//
// A stage turns one item into exactly one result. It knows its neighbours only as
// records of package schemas. It does not know the broker that carries those
// records, the store that keeps them, or the other stages.
//
// A crash can deliver an item twice, even while another worker still holds it.
// Both times the stage must give the same bytes (on one kind of CPU). So every
// random choice derives from Input.Header.Seed, and nothing else may be random:
// no clock, no map order, no worker name.
//
// # Where the engine lives
//
// The engine, stages/policy, is what stages compute with, so it lives below them.
// Only stages use it, and the programs in ops that serve or measure their results.
// It is a leaf: it knows no broker, no storage and no record. It has no folder at
// the top level because the top level is given and complete.
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

// A Stage is called by many goroutines at once, unless its Spec gathers a round.
type Stage interface {
	Spec() Spec
	// Process reads in and calls out.Result exactly once before it returns nil.
	//
	// A plain error means: try again; it counts as a failed attempt. Reject means:
	// never try again. ctx.Err() means: stop; this is not a failure.
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
	// NextRound is set by a stage whose result is the policy of the next round, the
	// one after the round that woke it.
	NextRound bool
	// NoPolicy is set by stages that need no weights.
	NoPolicy bool
	// Judges is set by stages that ask Input.Judge: their results depend on it.
	Judges bool
	// Asks is set by stages that draw and score with their policy and train nothing: another engine than the
	// worker's own can compute for them.
	Asks bool
}

// Filter says which messages the stage's queue holds: "record.round.key", where *
// stands for any.
func (s Spec) Filter() string {
	if s.Gather {
		return "gather.*." + s.Wakes
	}
	return s.Wakes + ".*.*"
}

// Input is one item, or one gathered round. It is valid until Process returns.
type Input struct {
	Header schemas.Header  // of the message that woke the stage
	Config json.RawMessage // the stage's section of the run's frozen configuration; read it with Config

	// Policy is the checkpoint whose digest is PolicyDigest: config.json, weights,
	// tokenizer.json, chat template and, after the first training, a PEFT adapter.
	// nil when Spec.NoPolicy.
	Policy       fs.FS
	PolicyDigest string
	Engine       string // the kind of engine that computes for stages that ask; "": the worker's own

	// Resume is the newest checkpoint that an earlier attempt at this item left, or nil.
	Resume fs.FS

	// Batches is the one batch that woke the stage or, for a stage that gathers,
	// the results of the round in key order. Failed holds the keys of the round's
	// items that have no result.
	Batches iter.Seq2[schemas.Batch, error]
	Failed  []string

	// Round reads another record that Spec.Also names, in key order.
	Round func(record string, round int) iter.Seq2[schemas.Batch, error]

	// Judge says whether answers are right, if the run names a judge of its own; nil: the reference decides.
	// As with the store, a stage need not tell errors of the judge from its own: the worker remembers them.
	Judge Judge

	// Dataset opens the stored rows of a file by their storage key and verifies their digest
	// while it is read. Only split uses it.
	Dataset func(key string) (io.ReadCloser, error)
}

// Config reads the stage's section over defaults and validates it. A key that the
// section leaves out keeps its default; an unknown key is an error. Every error is
// a reject: a run's configuration is frozen, so no retry can change it.
func Config[C interface{ Validate() error }](in Input, defaults C) (C, error) {
	cfg := defaults
	if len(in.Config) > 0 {
		d := json.NewDecoder(bytes.NewReader(in.Config))
		d.DisallowUnknownFields()
		if err := d.Decode(&cfg); err != nil {
			return defaults, Reject(fmt.Errorf("configuration: %w", err))
		}
	}
	if err := cfg.Validate(); err != nil {
		return defaults, Reject(err)
	}
	return cfg, nil
}

// Create opens a file of a checkpoint for writing; it is complete once closed.
type Create = func(name string) (io.WriteCloser, error)

// Output takes what a stage produces. Only one goroutine at a time may call it.
type Output interface {
	// Result deposits the item's result; the function Result encodes it first. The
	// program that runs the stage fills in the header's Run, Round, Key and digests.
	Result(b schemas.Batch) error
	// Attach stores a document beside the result, for people: a log, a picture.
	Attach(ctx context.Context, name string, r io.Reader) error
	// Save stores a policy: the files of Input.Policy without those named in drop,
	// and with those that write creates added or replaced. It returns the
	// checkpoint's digest. If the store fails, write can be called again: it must
	// write the same bytes.
	Save(ctx context.Context, write func(Create) error, drop ...string) (digest string, err error)
	// Checkpoint stores the state of a long item. After a crash the newest one comes
	// back as Input.Resume. write can be called again, as in Save.
	Checkpoint(ctx context.Context, step int, write func(Create) error) error
	// Progress reports how far the item is. It costs nothing, and a report can be lost.
	Progress(done, total int, unit, detail string)
}

// rejected marks an error that no retry can cure.
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

// Each decodes the batches of seq one after the other and yields their rows in
// order, so that a round need not fit into memory. It ends after the first error;
// a batch that does not decode is a reject.
func Each[R schemas.Record](seq iter.Seq2[schemas.Batch, error]) iter.Seq2[R, error] {
	return func(yield func(R, error) bool) {
		var none R
		for b, err := range seq {
			if err != nil {
				yield(none, err)
				return
			}
			rows, err := schemas.Decode[R](b)
			if err != nil {
				yield(none, Reject(err))
				return
			}
			for _, row := range rows {
				if !yield(row, nil) {
					return
				}
			}
		}
	}
}

// Rows returns the rows of all batches of seq, in order. Errors are those of Each.
func Rows[R schemas.Record](seq iter.Seq2[schemas.Batch, error]) ([]R, error) {
	var all []R
	for row, err := range Each[R](seq) {
		if err != nil {
			return nil, err
		}
		all = append(all, row)
	}
	return all, nil
}

// One returns the only row of seq. Any other number of rows is a reject.
func One[R schemas.Record](seq iter.Seq2[schemas.Batch, error]) (row R, err error) {
	rows, err := Rows[R](seq)
	if err != nil {
		return row, err
	}
	if len(rows) != 1 {
		return row, Reject(fmt.Errorf("%s: %d rows, want 1", row.Schema(), len(rows)))
	}
	return rows[0], nil
}

// Result encodes rows and deposits them as the item's result. Rows that cannot be
// encoded are a reject: the item would give the same rows again.
func Result[R schemas.Record](in Input, out Output, rows []R) error {
	b, err := schemas.Encode(in.Header, rows)
	if err != nil {
		return Reject(err)
	}
	return out.Result(b)
}

// Seed derives a seed from another one, a purpose and a number. No two choices of
// a run share their randomness, and none depends on the order of work.
func Seed(parent uint64, purpose string, n int) uint64 {
	var b [16]byte
	binary.LittleEndian.PutUint64(b[:8], parent)
	binary.LittleEndian.PutUint64(b[8:], uint64(n))
	h := sha256.New()
	h.Write(b[:])
	io.WriteString(h, purpose)
	return binary.LittleEndian.Uint64(h.Sum(nil))
}
