// Package split turns the rows of a dataset into examples: one for every assistant turn,
// with the turns before it as its prompt.
//
// A shard of a dataset file comes in, a batch of examples goes out. Each example is
// parsed, checked and graded by difficulty. It is assigned to a part (train, validation,
// test) and perhaps to the replay buffer, and rendered into the base model's tokens.
// Every assistant turn and every broken row of the file is one row of the result: those
// that cannot be used have a reason. A file that is broken as a whole is rejected.
//
// format/ reads the formats of datasets, turns.go makes the examples, difficulty.go and
// shares.go are the paper's rules. Shards do not depend on each other.
package split

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"iter"

	"itool/schemas"
	"itool/stages"
	"itool/stages/policy"
	"itool/stages/split/format"
)

// Stage renders with the engine's policies.
type Stage struct{ engine *policy.Engine }

// New makes the stage.
func New(engine *policy.Engine) *Stage { return &Stage{engine} }

var _ stages.Stage = (*Stage)(nil)

// Spec: each shard of the dataset is an item.
func (*Stage) Spec() stages.Spec {
	return stages.Spec{
		Name: "split", Wakes: schemas.RecordShard, Reads: schemas.Shard{}.Schema(),
		Writes: schemas.RecordExample, Schema: schemas.Example{}.Schema(),
	}
}

// Process answers a shard with its examples.
func (s *Stage) Process(ctx context.Context, in stages.Input, out stages.Output) error {
	cfg, err := stages.Config(in, Default())
	if err != nil {
		return err
	}
	shard, err := shardOf(in)
	if err != nil {
		return err
	}
	p, err := s.engine.Open(in.PolicyDigest, in.Policy)
	if err != nil {
		return fmt.Errorf("split: %w", err)
	}
	// `itool publish` has checked this. Another program that starts runs may not have.
	if err := CheckBase(p, cfg); err != nil {
		return stages.Reject(fmt.Errorf("split: %w", err))
	}
	t := &turns{
		cfg: cfg, policy: p, limit: p.ContextLength(), shard: shard,
		seen: map[[sha256.Size]byte]bool{},
	}
	if t.calls, err = CallFormat(p, cfg); err != nil {
		return stages.Reject(fmt.Errorf("split: %w", err))
	}
	if cfg.MaxTokens > 0 {
		t.limit = min(t.limit, cfg.MaxTokens)
	}
	if err := t.read(ctx, in, out); err != nil {
		return err
	}
	if err := t.notes.attach(ctx, out); err != nil {
		return err
	}
	return stages.Result(in, out, t.out)
}

// shardOf reads the task.
func shardOf(in stages.Input) (schemas.Shard, error) {
	s, err := stages.One[schemas.Shard](in.Batches)
	if err != nil {
		return s, err
	}
	err = schemas.ValidName(s.Key)
	switch {
	case err != nil:
		err = fmt.Errorf("key: %w", err)
	case len(s.Key) > 100: // the examples' keys are longer
		err = fmt.Errorf("key: %d bytes, at most 100", len(s.Key))
	case s.First < 0 || s.Rows < 1 || s.First > 1<<31-1-s.Rows:
		err = fmt.Errorf("rows %d and %d more: not within 0..2147483647", s.First, s.Rows)
	}
	if err != nil {
		return s, stages.Reject(fmt.Errorf("split: shard: %w", err))
	}
	return s, nil
}

// maxBytes bounds the texts of one result. A batch lies in memory as a whole.
const maxBytes = 512 << 20

// read reads the shard's rows.
func (t *turns) read(ctx context.Context, in stages.Input, out stages.Output) error {
	f, err := in.Dataset(t.shard.File)
	if err != nil {
		return err
	}
	defer f.Close()
	src := bufio.NewReader(f)
	head, _ := src.Peek(4) // an error comes again
	first, rows, size := int(t.shard.First), int(t.shard.Rows), 0
	all := t.cfg.Options().ReadShard(ctx, src, format.Format(t.shard.Format), t.shard.SHA256, first, rows)
	if !format.IsShard(head) {
		all = t.whole(ctx, src)
	}
	for row, err := range all {
		if err != nil {
			return t.placed(err)
		}
		before := len(t.out)
		t.add(row)
		for _, e := range t.out[before:] {
			size += len(e.Messages) + len(e.Tools) + len(e.Reference) + 4*len(e.PromptIDs) + 4*len(e.AnswerIDs)
		}
		if size > maxBytes {
			return stages.Reject(fmt.Errorf("split: %s: the examples of %d rows have more than %d bytes: "+
				"lower line.shard_rows", t.shard.Name, rows, maxBytes))
		}
		out.Progress(row.Number-first+1, rows, "rows", "")
		if err := ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// whole reads the shard's rows out of the whole file, as runs have it that were published
// before each shard was stored on its own. It reads the file to its end, because only that
// tells whether it is the file that was published.
func (t *turns) whole(ctx context.Context, f io.Reader) iter.Seq2[format.Row, error] {
	return func(yield func(format.Row, error) bool) {
		sum := sha256.New()
		src := io.TeeReader(f, sum)
		kind, first, rows := format.Format(t.shard.Format), int(t.shard.First), int(t.shard.Rows)
		for row, err := range t.cfg.Options().Read(ctx, src, kind, first, rows) {
			if !yield(row, err) || err != nil {
				return
			}
		}
		if _, err := io.Copy(io.Discard, src); err != nil {
			yield(format.Row{}, err)
			return
		}
		if got := hex.EncodeToString(sum.Sum(nil)); t.shard.SHA256 != "" && got != t.shard.SHA256 {
			yield(format.Row{}, stages.Reject(fmt.Errorf("split: %s: the stored file has digest %.12s, %.12s was "+
				"published: publish it again", t.shard.Name, got, t.shard.SHA256)))
		}
	}
}

// placed rejects a broken file, which no retry can repair, but not a failing read.
func (t *turns) placed(err error) error {
	var broken *format.BrokenError
	if errors.As(err, &broken) {
		return stages.Reject(fmt.Errorf("split: %s: %w", t.shard.Name, err))
	}
	return err
}
