package line

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"strings"
	"time"

	"itool/broker"
	"itool/ops/courier"
	"itool/schemas"
	"itool/stages"
)

// A round's subjects can be written by any client of the broker. So nothing is counted by number: a record
// counts if its key is in the round's manifest and it is what the stage promises (check.go). The keeper reads
// each record once, as it arrives.

// tally is what the keeper knows of the items of an open round.
type tally struct {
	list  []string          // the keys of the manifest, in its order
	keys  []string          // the same, sorted
	items []itemState       // by position in keys
	woke  []uint64          // by position in keys: hash of the digest that the last stage's input has; 0: unknown
	chain []stages.Spec     // the stages that an item goes through, in order; the last one makes the result
	read  map[string]uint64 // by record: the position behind which nothing was read yet

	foreign int               // records whose key is not in the manifest
	failed  map[string]string // by key: the stage that gave the item up
	refused map[string]int    // by key: invalid results
	writers map[string]int    // by writer: the same; see refuse.go
}

type itemState byte

const (
	itemOpen itemState = iota
	itemDone
	itemFailed
)

func newTally(keys []string, chain []stages.Spec) *tally {
	t := &tally{
		list: keys, keys: slices.Clone(keys), chain: chain, read: map[string]uint64{},
		failed: map[string]string{}, refused: map[string]int{}, writers: map[string]int{},
	}
	slices.Sort(t.keys)
	t.items, t.woke = make([]itemState, len(t.keys)), make([]uint64, len(t.keys))
	return t
}

// at is the position of a key; ok is false for one that is not in the manifest.
func (t *tally) at(key string) (i int, ok bool) { return slices.BinarySearch(t.keys, key) }

// done are the keys with a result, in order.
func (t *tally) done() (keys []string) {
	for i, key := range t.keys {
		if t.items[i] == itemDone {
			keys = append(keys, key)
		}
	}
	return keys
}

// tallyTime is how long one step may read the records of a round: the keeper has other runs, too.
const tallyTime = 2 * time.Second

// count reads what is new. complete is false if it stopped before the end, because it took too long.
func (k *Keeper) count(ctx context.Context, s *runState, rd Round, r int, policy string) (complete bool, err error) {
	t := s.tallies[roundID(rd.Result, r)]
	deadline := time.Now().Add(tallyTime)
	for _, spec := range t.chain {
		complete, err := k.eachNew(ctx, s, t, spec.Writes, r, deadline, func(m broker.Message, i int) error {
			return k.countResult(ctx, s, rd, t, spec, m, i, policy)
		})
		if err != nil || !complete {
			return false, err
		}
	}
	complete, err = k.eachNew(ctx, s, t, schemas.RecordFailed, r, deadline, func(m broker.Message, i int) error {
		return k.countFailure(ctx, s, rd, t, m, i)
	})
	if err == nil && complete { // only to count those that are foreign
		_, err = k.eachNew(ctx, s, t, rd.Task, r, deadline, func(broker.Message, int) error { return nil })
	}
	return complete, err
}

// eachNew visits the new records of one kind whose keys are in the manifest, until the deadline.
func (k *Keeper) eachNew(
	ctx context.Context, s *runState, t *tally, record string, r int, deadline time.Time,
	visit func(m broker.Message, i int) error,
) (complete bool, err error) {
	for m, err := range k.Courier.Broker.ListAfter(ctx, s.run.Name, broker.Filter(record, r), t.read[record]) {
		if err != nil {
			return false, err
		}
		if i, ok := t.at(m.Key); ok {
			if err := visit(m, i); errors.Is(err, errLater) {
				return false, nil
			} else if err != nil {
				return false, err
			}
		} else if record != schemas.RecordFailed { // failures of other rounds have the same subject
			t.foreign++
		}
		t.read[record] = m.Sequence
		if time.Now().After(deadline) {
			return false, nil
		}
	}
	return true, nil
}

// countResult counts a result, or refuses it. A result beats a failure record.
func (k *Keeper) countResult(
	ctx context.Context, s *runState, rd Round, t *tally, spec stages.Spec, m broker.Message, i int, policy string,
) error {
	why, err := k.check(ctx, s, rd, spec, m, policy)
	if err == nil && slices.ContainsFunc(t.chain, func(c stages.Spec) bool { return c.Writes == spec.Wakes }) {
		switch other, orphan, err := k.checkInput(ctx, t, spec, m, i); {
		case err != nil:
			return err
		case orphan: // the stage is woken again once there is another one
			return k.remove(ctx, m.Address, m.Sequence)
		case other != "":
			why = other
		}
	}
	switch {
	case err != nil:
		return err
	case why != "":
		return k.refuse(ctx, s, rd, t, spec, m, why)
	case spec.Writes == rd.Result:
		t.items[i] = itemDone
	default:
		t.woke[i] = hashOf(m.Header["itool-sha256"])
	}
	return nil
}

// checkInput says why a result is invalid that was made from the result of another stage: it was made from
// another one than the run has now. orphan: the run has none now, because it was refused.
func (k *Keeper) checkInput(
	ctx context.Context, t *tally, spec stages.Spec, m broker.Message, i int,
) (why string, orphan bool, err error) {
	input := m.Header["itool-input"]
	if t.woke[i] != 0 && t.woke[i] == hashOf(input) {
		return "", false, nil
	}
	at := m.Address
	at.Record = spec.Wakes
	from, err := k.Courier.Broker.Get(ctx, at)
	switch {
	case errors.Is(err, broker.ErrNotExist):
		return "", true, nil
	case err == nil && from.Header["itool-sha256"] != input:
		return fmt.Sprintf("it was made from another %s than the run has now", spec.Wakes), false, nil
	case err == nil:
		return "", false, errLater
	}
	return "", false, err
}

// errLater: what a result was made from, or a failure is about, was not read yet.
var errLater = errors.New("read again in the next step")

func hashOf(digest string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(digest)) // never fails
	return h.Sum64()
}

// countFailure counts a failure record of one of the round's stages. Others are foreign: the keys of two
// rounds differ. A failure that was caused by a refused result goes with it.
func (k *Keeper) countFailure(
	ctx context.Context, s *runState, rd Round, t *tally, m broker.Message, i int,
) error {
	rows, h, err := courier.Rows[schemas.Failed](ctx, k.Courier, s.run.Name, schemas.RecordFailed, m.Round, m.Key)
	var infra *courier.InfraError
	var newer *schemas.NewerError
	switch {
	case errors.Is(err, broker.ErrNotExist):
		return nil // removed meanwhile
	case errors.As(err, &infra), ctx.Err() != nil:
		return err
	case errors.As(err, &newer):
		return errStalled{"needs " + newer.Want + ": start a keeper of the version that wrote it"}
	case err == nil && len(rows) == 1 && rows[0].Reason == schemas.ReasonInvalid:
		t.items[i] = itemFailed // a keeper has given the item up
		return nil
	case err != nil || len(rows) != 1 || !t.ofChain(rd, rows[0].Subject):
		t.foreign++
		return k.remove(ctx, m.Address, m.Sequence)
	}
	if err := k.checkCounted(ctx, rd, t, m, rows[0].Subject); err != nil {
		return err
	}
	if k.causedByRefused(ctx, s, m.Address, rows[0], h) {
		return k.remove(ctx, m.Address, m.Sequence)
	}
	if t.items[i] != itemDone {
		t.items[i], t.failed[m.Key] = itemFailed, rows[0].Stage
	}
	return nil
}

// checkCounted is errLater if a failure is about another stage's result that was not counted yet: that result may be
// invalid, and the failure its consequence.
func (k *Keeper) checkCounted(ctx context.Context, rd Round, t *tally, m broker.Message, subject string) error {
	at := m.Address
	if at.Record = strings.Split(subject, ".")[3]; at.Record == rd.Task { // ofChain has checked the subject
		return nil
	}
	from, err := k.Courier.Broker.Get(ctx, at)
	switch {
	case errors.Is(err, broker.ErrNotExist):
		return nil
	case err == nil && from.Sequence > t.read[at.Record]:
		return errLater
	}
	return err
}

// ofChain reports whether a subject is a task of the round, or a result of its stages.
func (t *tally) ofChain(rd Round, subject string) bool {
	f := strings.Split(subject, ".") // itool.run.<run>.<record>.<round>.<key>
	return len(f) == 6 && (f[3] == rd.Task ||
		slices.ContainsFunc(t.chain, func(spec stages.Spec) bool { return spec.Writes == f[3] }))
}

// remove takes a record out of the stream, as far as the stream allows.
func (k *Keeper) remove(ctx context.Context, at broker.Address, sequence uint64) error {
	err := k.Courier.Broker.Remove(ctx, at, sequence)
	if errors.Is(err, broker.ErrKept) {
		return nil
	}
	return err
}

// Chain are the stages that an item of a round goes through, from its task to the result that is waited for.
func (t Table) Chain(result string) []stages.Spec {
	if chain := t.through(result); chain != nil {
		return chain
	}
	for _, row := range t {
		if row.Round != nil && row.Round.Result == result {
			return []stages.Spec{row.Spec()}
		}
	}
	return nil
}

// Awaits names the result that a round waits for whose tasks, or results of whose stages, are such records;
// "" if there is none, as for a selection and a policy. task tells the two apart.
func (t Table) Awaits(record string) (result string, task bool) {
	for _, row := range t {
		if row.Round == nil {
			continue
		}
		made := func(spec stages.Spec) bool { return spec.Writes == record }
		if task := row.Round.Task == record; task || slices.ContainsFunc(t.Chain(row.Round.Result), made) {
			return row.Round.Result, task
		}
	}
	return "", false
}
