package line

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"itool/broker"
	"itool/ops/courier"
	"itool/schemas"
	"itool/stages"
	"itool/storage"
)

// check reads a result and says why it is invalid: its header, its schema, its body to the end, its rows. An
// error is of broker or store, or says that the run must wait; then nothing is known of the result.
func (k *Keeper) check(
	ctx context.Context, s *runState, rd Round, spec stages.Spec, m broker.Message, policy string,
) (why string, err error) {
	h, headerErr := schemas.ParseHeader(m.Header)
	if headerErr != nil {
		return headerErr.Error(), nil //nolint:nilerr // it is the reason
	}
	var newer *schemas.NewerError
	switch err := schemas.Readable(spec.Schema, h.Schema); {
	case errors.As(err, &newer):
		return "", errStalled{"needs " + newer.Want + ": start a keeper of the version that writes it"}
	case err != nil:
		return err.Error(), nil //nolint:nilerr // it is the reason
	}
	for _, d := range []struct{ what, have, want string }{
		{"run", h.Run, m.Run}, {"round", fmt.Sprint(h.Round), fmt.Sprint(m.Round)}, {"key", h.Key, m.Key},
		{"config", h.Config, s.run.ConfigDigest}, {"policy", h.Policy, policy},
	} {
		if d.have != d.want {
			return fmt.Sprintf("its header says %s %.40q, the round has %.40q", d.what, d.have, d.want), nil
		}
	}
	if h.Rows > maxResultRows {
		return fmt.Sprintf("%d rows, %d are the most", h.Rows, maxResultRows), nil
	}
	b, err := k.Courier.Get(ctx, m.Run, m.Record, m.Round, m.Key)
	var infra *courier.InfraError
	switch {
	case errors.Is(err, broker.ErrNotExist):
		return "", nil // removed meanwhile: what comes in its place is read later
	case errors.As(err, &infra), errors.Is(err, broker.ErrNoRun), ctx.Err() != nil:
		return "", err
	case errors.Is(err, storage.ErrNotExist):
		return "", &lostError{err}
	case err != nil:
		return err.Error(), nil //nolint:nilerr // it is the reason
	}
	task := func() ([]string, error) { return k.taskIDs(ctx, s, rd, m) }
	switch err := checkRows(spec.Writes, b, m.Key, task); {
	case errors.As(err, &infra), ctx.Err() != nil:
		return "", err
	case err != nil:
		return err.Error(), nil //nolint:nilerr // it is the reason
	}
	return "", nil
}

// maxResultRows bounds a result. A tree has thousands of nodes, a shard thousands of rows.
const maxResultRows = 1 << 20

// lostError says that the store lacks an object that a record names.
type lostError struct{ err error }

func (e *lostError) Error() string { return "waiting: store: " + e.err.Error() }
func (e *lostError) Unwrap() error { return e.err }

// checkRows decodes a result and compares its rows with the item. Records of stages that it does not know
// are judged by their header alone. task gives the IDs of the task's examples.
func checkRows(record string, b schemas.Batch, key string, task func() ([]string, error)) error {
	switch record {
	case schemas.RecordExample:
		return eachRow(b, func(e schemas.Example) error {
			if !strings.HasPrefix(e.ID, key+"-") {
				return fmt.Errorf("example %.40q is not of shard %s", e.ID, key)
			}
			return nil
		})
	case schemas.RecordCandidate:
		return eachRow(b, func(c schemas.Candidate) error { return ofExample(c.ExampleID, key, c.Parent < 0) })
	case schemas.RecordPair:
		return eachRow(b, func(p schemas.Pair) error { return ofExample(p.ExampleID, key, true) })
	case schemas.RecordScore:
		return sameIDs(b, task, func(s schemas.Score) string { return s.ExampleID })
	case schemas.RecordVerdict:
		return sameIDs(b, task, func(v schemas.Verdict) string { return v.ExampleID })
	}
	return nil
}

func eachRow[R schemas.Record](b schemas.Batch, check func(R) error) error {
	rows, err := schemas.Decode[R](b)
	if err != nil {
		return err
	}
	for i, row := range rows {
		if err := check(row); err != nil {
			return fmt.Errorf("row %d: %w", i, err)
		}
	}
	return nil
}

// ofExample compares the example of a row with the item. Only the root of a tree names it.
func ofExample(id, key string, named bool) error {
	if named && id != key || !named && id != "" && id != key {
		return fmt.Errorf("example %.40q, the item is %s", id, key)
	}
	return nil
}

// sameIDs checks that a result has one row for each example of its task.
func sameIDs[R schemas.Record](b schemas.Batch, task func() ([]string, error), id func(R) string) error {
	want, err := task()
	if err != nil {
		return err
	}
	left := map[string]int{}
	for _, id := range want {
		left[id]++
	}
	err = eachRow(b, func(row R) error {
		if left[id(row)]--; left[id(row)] < 0 {
			return fmt.Errorf("example %.40q is not in the task, or twice in the result", id(row))
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, id := range slices.Sorted(maps.Keys(left)) {
		if left[id] > 0 {
			return fmt.Errorf("example %s of the task has no row", id)
		}
	}
	return nil
}

// taskIDs are the examples of the task that a result answers.
func (k *Keeper) taskIDs(ctx context.Context, s *runState, rd Round, m broker.Message) (ids []string, err error) {
	rows, _, err := courier.Rows[schemas.Example](ctx, k.Courier, s.run.Name, rd.Task, m.Round, m.Key)
	if err != nil {
		return nil, &courier.InfraError{Err: fmt.Errorf("task of %v: %w", m.Address, err)}
	}
	for _, e := range rows {
		ids = append(ids, e.ID)
	}
	return ids, nil
}

// CheckRows decodes a result and compares its rows with the item, as the keeper does. task gives the IDs of
// the task's examples.
func CheckRows(record string, b schemas.Batch, key string, task func() ([]string, error)) error {
	return checkRows(record, b, key, task)
}
