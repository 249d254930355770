package line

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"itool/broker"
	"itool/ops/courier"
	"itool/schemas"
	"itool/stages"
	"itool/storage"
)

// An invalid result (check.go) is refused: a record says who wrote it and why, the result is taken out of
// the stream, and its item is done again. After some times the item is given up.

// maxRefused is how many results of one item are refused before the item is given up.
const maxRefused = 5

// refuse deals with an invalid result. Each step can be repeated: a keeper that dies in the middle leaves
// a result that the next keeper refuses again, or a task that it publishes again.
func (k *Keeper) refuse(
	ctx context.Context, s *runState, rd Round, t *tally, spec stages.Spec, m broker.Message, why string,
) error {
	if err := k.readRefused(ctx, s, t, m.Round); err != nil {
		return err
	}
	writer := m.Header["itool-worker"]
	if writer == "" {
		writer = "a client that does not say who it is"
	}
	row := schemas.Failed{
		Stage: spec.Name, Subject: m.Address.String(), Attempts: int32(t.refused[m.Key] + 1),
		Reason: schemas.ReasonInvalid, Error: strings.ToValidUTF8(why, "�"), Worker: strings.ToValidUTF8(writer, "�"),
	}
	stored, err := k.publishRefusal(ctx, s, schemas.RecordRefused, refusalKey(m), m, row)
	if err == nil {
		err = k.readRefused(ctx, s, t, m.Round)
	}
	if err != nil {
		return err
	}
	if stored {
		k.Log.Warn("refused a result", "run", s.run.Name, "result", m.Address.String(), "writer", writer, "why", why)
	}
	if t.refused[m.Key] < maxRefused {
		err = k.redo(ctx, s, rd, spec, m)
		if err == nil || !errors.Is(err, broker.ErrKept) {
			if err != nil { // some of the item's records may be missing now
				s.opened[roundID(rd.Result, m.Round)] = false
			}
			return err
		}
	}
	task := m.Address
	task.Record = spec.Wakes
	row.Subject = task.String()
	row.Error = fmt.Sprintf("%d results were refused, the last one of %s: %s", t.refused[m.Key], writer, row.Error)
	if _, err := k.publishRefusal(ctx, s, schemas.RecordFailed, m.Key, m, row); err != nil {
		return err
	}
	i, _ := t.at(m.Key)
	t.items[i] = itemFailed
	return k.remove(ctx, m.Address, m.Sequence)
}

// refusalKey tells the refused results of one item apart.
func refusalKey(m broker.Message) string {
	if len(m.Key) > broker.MaxName-24 {
		sum := sha256.Sum256([]byte(m.Key))
		return fmt.Sprintf("%s_%d", hex.EncodeToString(sum[:16]), m.Sequence)
	}
	return fmt.Sprintf("%s_%d", m.Key, m.Sequence)
}

func (k *Keeper) publishRefusal(
	ctx context.Context, s *runState, record, key string, m broker.Message, row schemas.Failed,
) (stored bool, err error) {
	h := k.header(s, record, m.Round, key, "")
	if digest := m.Header["itool-sha256"]; digest != "" {
		if parsed, err := schemas.ParseHeader(map[string]string{"itool-sha256": digest}); err == nil {
			h.Input = parsed.SHA256
		}
	}
	b, err := schemas.Encode(h, []schemas.Failed{row})
	if err != nil {
		return false, err
	}
	return k.Courier.Publish(ctx, record, b, nil)
}

// readRefused counts what keepers refused, each refusal once.
func (k *Keeper) readRefused(ctx context.Context, s *runState, t *tally, r int) error {
	after := t.read[schemas.RecordRefused]
	for m, err := range k.Courier.Broker.ListAfter(ctx, s.run.Name, broker.Filter(schemas.RecordRefused, r), after) {
		if err != nil {
			return err
		}
		rows, _, err := courier.Rows[schemas.Failed](ctx, k.Courier, s.run.Name, schemas.RecordRefused, r, m.Key)
		t.read[schemas.RecordRefused] = m.Sequence
		if err != nil || len(rows) != 1 {
			continue // not ours
		}
		if at := strings.LastIndex(rows[0].Subject, "."); at >= 0 {
			t.refused[rows[0].Subject[at+1:]]++
			t.writers[rows[0].Worker]++
		}
	}
	return nil
}

// redo has an item done again by the stage whose result was refused. The records between the round's task
// and the refused result are taken out, from the front, and published again, from the back: the server then
// delivers them again. If a keeper dies meanwhile, the task is missing, and the next keeper publishes it
// when it opens the round.
func (k *Keeper) redo(
	ctx context.Context, s *runState, rd Round, spec stages.Spec, refused broker.Message,
) error {
	records := []string{rd.Task}
	if spec.Wakes != rd.Task {
		records = append(records, spec.Wakes)
	}
	var kept []broker.Message
	for _, record := range records {
		m, err := k.Courier.Broker.Get(ctx, broker.Address{
			Run: s.run.Name, Record: record, Round: refused.Round, Key: refused.Key})
		if errors.Is(err, broker.ErrNotExist) {
			continue // another keeper is at it, or died
		}
		if err != nil {
			return err
		}
		kept = append(kept, m)
	}
	for _, later := range downstream(k.Line.Chain(rd.Result), spec) {
		at := refused.Address
		at.Record = later.Writes
		m, err := k.Courier.Broker.Get(ctx, at)
		if errors.Is(err, broker.ErrNotExist) {
			continue
		}
		if err == nil {
			err = k.Courier.Broker.Remove(ctx, at, m.Sequence) // it was made from the refused one
		}
		if err != nil {
			return err
		}
		if i, ok := s.tallies[roundID(rd.Result, refused.Round)].at(refused.Key); ok {
			s.tallies[roundID(rd.Result, refused.Round)].items[i] = itemOpen
		}
	}
	for _, m := range kept {
		if err := k.Courier.Broker.Remove(ctx, m.Address, m.Sequence); err != nil {
			return err
		}
	}
	if err := k.Courier.Broker.Remove(ctx, refused.Address, refused.Sequence); err != nil {
		return err
	}
	for i := len(kept) - 1; i >= 0; i-- {
		if _, err := k.Courier.Broker.Publish(ctx, kept[i].Address, kept[i].Header, kept[i].Data); err != nil {
			return err
		}
	}
	if len(kept) < len(records) {
		s.opened[roundID(rd.Result, refused.Round)] = false
	}
	k.hint(ctx, s)
	return nil
}

// downstream are the stages of a round behind one of them.
func downstream(chain []stages.Spec, spec stages.Spec) []stages.Spec {
	for i, c := range chain {
		if c.Name == spec.Name {
			return chain[i+1:]
		}
	}
	return nil
}

// unreadable deals with the error of reading a record of a stage that gathers: if the record itself is
// invalid, it is refused, and the stage is woken again.
func (k *Keeper) unreadable(ctx context.Context, s *runState, record string, r int, why error) error {
	var infra *courier.InfraError
	var newer *schemas.NewerError
	maker, made := k.Line.Maker(record, r)
	switch {
	case errors.As(why, &newer):
		return errStalled{"needs " + newer.Want + ": start a keeper of the version that wrote it"}
	case errors.As(why, &infra), errors.Is(why, broker.ErrNoRun), ctx.Err() != nil, !made:
		return why
	case errors.Is(why, storage.ErrNotExist):
		return &lostError{why}
	}
	spec, woken := maker.Spec(), r
	if spec.NextRound {
		woken--
	}
	m, err := k.Courier.Broker.Get(ctx, broker.Address{Run: s.run.Name, Record: record, Round: r, Key: record})
	if errors.Is(err, broker.ErrNotExist) {
		return nil // another keeper has taken it out
	}
	if err != nil {
		return err
	}
	row := schemas.Failed{
		Stage: spec.Name, Subject: m.Address.String(), Attempts: 1, Reason: schemas.ReasonInvalid,
		Error: strings.ToValidUTF8(why.Error(), "�"), Worker: strings.ToValidUTF8(m.Header["itool-worker"], "�"),
	}
	if _, err := k.publishRefusal(ctx, s, schemas.RecordRefused, refusalKey(m), m, row); err != nil {
		return err
	}
	t := newTally(nil, nil)
	if err := k.readRefused(ctx, s, t, r); err != nil {
		return err
	}
	failed := errFailed{fmt.Sprintf("%d results of %s for round %d were refused, the last one of %q: %s",
		t.refused[record], spec.Name, woken, row.Worker, row.Error)}
	if t.refused[record] >= maxRefused {
		return failed
	}
	if err := k.wake(ctx, s, spec, woken, m); errors.Is(err, broker.ErrKept) {
		return failed
	} else if err != nil {
		return err
	}
	return nil
}

// wake takes out a refused result of a stage that gathers, and has the gather delivered again. If the keeper
// dies meanwhile, the round is open again, and the next keeper gathers it.
func (k *Keeper) wake(ctx context.Context, s *runState, spec stages.Spec, woken int, refused broker.Message) error {
	gather, err := k.Courier.Broker.Get(ctx, broker.Address{
		Run: s.run.Name, Record: schemas.RecordGather, Round: woken, Key: spec.Wakes})
	if err != nil {
		return err
	}
	for _, m := range []broker.Message{gather, refused} {
		if err := k.Courier.Broker.Remove(ctx, m.Address, m.Sequence); err != nil {
			return err
		}
	}
	_, err = k.Courier.Broker.Publish(ctx, gather.Address, gather.Header, gather.Data)
	if err != nil {
		id := roundID(spec.Wakes, woken)
		s.opened[id], s.closed[id] = false, false
	}
	k.hint(ctx, s)
	return err
}

// causedByRefused reports whether a failure record is about an input that was refused: the stage that read
// it is not at fault, and gets another input.
func (k *Keeper) causedByRefused(
	ctx context.Context, s *runState, at broker.Address, f schemas.Failed, h schemas.Header,
) bool {
	for m, err := range k.Courier.Broker.List(ctx, s.run.Name, broker.Filter(schemas.RecordRefused, at.Round)) {
		if err != nil {
			return false
		}
		rows, refused, err := courier.Rows[schemas.Failed](
			ctx, k.Courier, s.run.Name, schemas.RecordRefused, at.Round, m.Key)
		if err == nil && len(rows) == 1 && rows[0].Subject == f.Subject && refused.Input == h.Input {
			return true
		}
	}
	return false
}
