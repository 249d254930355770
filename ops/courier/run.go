package courier

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"itool/broker"
	"itool/schemas"
)

// The records of a run that many packages read: its description, its policies, its gathers, its
// end. All of them pass on the errors of Get.

// RowsError is about a record that must have exactly one row.
type RowsError struct {
	Record string // "policy.3.policy"
	Rows   int
}

func (e *RowsError) Error() string {
	return fmt.Sprintf("%s holds %d rows instead of one; the program that wrote it is at fault", e.Record, e.Rows)
}

// Started yields the descriptions of all runs that were started, from their start messages. It
// ends with the first error.
func (c *Courier) Started(ctx context.Context) iter.Seq2[schemas.Run, error] {
	return func(yield func(schemas.Run, error) bool) {
		for m, err := range c.Broker.Started(ctx) {
			var run schemas.Run
			if err == nil {
				if run, err = c.startMessage(ctx, m); err != nil {
					err = fmt.Errorf("run %s: its start message: %w", m.Run, err)
				}
			}
			if !yield(run, err) || err != nil {
				return
			}
		}
	}
}

// StartedAs returns the description of the run that was started under this name; nil: none was. It
// reads no other run's message, which may be damaged.
func (c *Courier) StartedAs(ctx context.Context, run string) (*schemas.Run, error) {
	for m, err := range c.Broker.Started(ctx) {
		if err != nil {
			return nil, err
		}
		if m.Run != run {
			continue
		}
		r, err := c.startMessage(ctx, m)
		if err != nil {
			return nil, fmt.Errorf("run %s: its start message: %w", run, err)
		}
		return &r, nil
	}
	return nil, nil
}

func (c *Courier) startMessage(ctx context.Context, m broker.Message) (schemas.Run, error) {
	b, err := c.Open(ctx, m)
	if err != nil {
		return schemas.Run{}, err
	}
	rows, err := schemas.Decode[schemas.Run](b)
	if err != nil {
		return schemas.Run{}, err
	}
	if len(rows) != 1 {
		return schemas.Run{}, &RowsError{schemas.RecordRun, len(rows)}
	}
	if rows[0].Name != m.Run {
		return schemas.Run{}, fmt.Errorf("it describes a run named %q", rows[0].Name)
	}
	return rows[0], nil
}

// Description reads how a run was started, from the copy in its stream. The header has the digest
// that tells two runs of one name apart.
func (c *Courier) Description(ctx context.Context, run string) (schemas.Run, schemas.Header, error) {
	return oneRow[schemas.Run](ctx, c, run, schemas.RecordRun, 0, schemas.KeyRun)
}

// End reads how a run ended. broker.ErrNotExist: it goes on.
func (c *Courier) End(ctx context.Context, run string) (schemas.End, error) {
	end, _, err := oneRow[schemas.End](ctx, c, run, schemas.RecordEnd, 0, schemas.KeyEnd)
	return end, err
}

// Ended reports whether a run has ended. broker.ErrNoRun: it has no stream, not yet or no longer.
func (c *Courier) Ended(ctx context.Context, run string) (bool, error) {
	return c.Broker.Has(ctx, broker.Address{Run: run, Record: schemas.RecordEnd, Key: schemas.KeyEnd})
}

// Cancelled reports whether somebody has cancelled a run. Its end may not be written yet.
func (c *Courier) Cancelled(ctx context.Context, run string) (bool, error) {
	return c.Broker.Has(ctx, broker.Address{Run: run, Record: schemas.RecordCancel, Key: schemas.KeyCancel})
}

// Policy reads the policy that opens a round; −1 is the base. broker.ErrNotExist: it is not made
// yet.
func (c *Courier) Policy(ctx context.Context, run string, round int) (schemas.Policy, error) {
	p, _, err := oneRow[schemas.Policy](ctx, c, run, schemas.RecordPolicy, round, schemas.KeyPolicy)
	return p, err
}

// Selection reads what was selected in a round.
func (c *Courier) Selection(ctx context.Context, run string, round int) ([]schemas.Selection, error) {
	rows, _, err := Rows[schemas.Selection](ctx, c, run, schemas.RecordSelection, round, schemas.KeySelection)
	return rows, err
}

// Gathered are the keys of a gather: those with a result, and those that were given up.
func Gathered(rows []schemas.Gather) (keys, failed []string) {
	for _, g := range rows {
		if g.Failed {
			failed = append(failed, g.Key)
		} else {
			keys = append(keys, g.Key)
		}
	}
	return keys, failed
}

// ResultKeys are the keys of a round's results. Once the round is gathered they stay the same: a
// result that comes later does not count. Before, they are those in the stream.
func (c *Courier) ResultKeys(ctx context.Context, run, record string, round int) ([]string, error) {
	rows, _, err := Rows[schemas.Gather](ctx, c, run, schemas.RecordGather, round, record)
	if errors.Is(err, broker.ErrNotExist) {
		keys, err := c.Broker.Keys(ctx, run, record, round)
		return keys, Infra(ctx, err)
	}
	keys, _ := Gathered(rows)
	return keys, err
}

// Batches decodes the records of keys, in that order, one at a time. It ends with the first error.
func Batches[R schemas.Record](
	ctx context.Context, c *Courier, run, record string, round int, keys []string,
) iter.Seq2[[]R, error] {
	return func(yield func([]R, error) bool) {
		for b, err := range c.Round(ctx, run, record, round, keys) {
			var rows []R
			if err == nil {
				if rows, err = schemas.Decode[R](b); err != nil {
					err = fmt.Errorf("%s.%d.%s: %w", record, round, b.Header.Key, err)
				}
			}
			if !yield(rows, err) || err != nil {
				return
			}
		}
	}
}

// AllBatches is Batches of every record of the round that is in the stream, in key order.
func AllBatches[R schemas.Record](
	ctx context.Context, c *Courier, run, record string, round int,
) iter.Seq2[[]R, error] {
	return func(yield func([]R, error) bool) {
		keys, err := c.Broker.Keys(ctx, run, record, round)
		if err != nil {
			yield(nil, err)
			return
		}
		Batches[R](ctx, c, run, record, round, keys)(yield)
	}
}

// oneRow reads a record of exactly one row; another number is a *RowsError.
func oneRow[R schemas.Record](
	ctx context.Context, c *Courier, run, record string, round int, key string,
) (R, schemas.Header, error) {
	rows, h, err := Rows[R](ctx, c, run, record, round, key)
	if err == nil && len(rows) != 1 {
		err = &RowsError{fmt.Sprintf("%s.%d.%s", record, round, key), len(rows)}
	}
	if err != nil {
		var none R
		return none, h, err
	}
	return rows[0], h, nil
}

// maxAttached bounds a document that is read into memory.
const maxAttached = 16 << 20

// AttachedKey is the storage key of a document that a stage attached beside its result.
func AttachedKey(run, stage string, round int, key, name string) string {
	return fmt.Sprintf("runs/%s/attached/%s/%d/%s/%s", run, stage, round, key, name)
}

// Attached reads a document that a stage attached. storage.ErrNotExist: it attached none.
func (c *Courier) Attached(ctx context.Context, run, stage string, round int, key, name string) ([]byte, error) {
	r, _, err := c.Store.Get(ctx, AttachedKey(run, stage, round, key, name))
	if err != nil {
		return nil, err
	}
	defer r.Close()
	data, err := io.ReadAll(io.LimitReader(r, maxAttached+1))
	if err == nil && len(data) > maxAttached {
		err = fmt.Errorf("%s of %s: more than %d bytes", name, key, maxAttached)
	}
	return data, err
}
