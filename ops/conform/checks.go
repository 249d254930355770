package conform

import (
	"context"
	"fmt"
	"strings"

	"itool/broker"
	"itool/schemas"
	"itool/stages"
)

// checks are made in this order. The first one tells whether the program works at all.
var checks = []struct {
	name  string
	check func(context.Context, *trial) error
	skip  func(stages.Spec) bool // nil: never
}{
	{"answers", answers, nil},
	{"same bytes on repeat", repeats, nil},
	{"message of a stray client", stray, func(s stages.Spec) bool { return s.Gather }},
	{"newer schema", newer, nil},
	{"junk", junk, nil},
	{"object not there yet", missing, nil},
	{"full stream, heartbeats", full, nil},
	{"SIGTERM", terminated, nil},
	{"SIGKILL", killed, nil},
}

// answers gives the program real items.
func answers(ctx context.Context, t *trial) error {
	if err := t.put(ctx, nil, t.w.items...); err != nil {
		return err
	}
	if err := t.start(ctx); err != nil {
		return err
	}
	if !t.allAnswered(ctx, t.items) {
		return ctx.Err()
	}
	wrong := 0
	for _, item := range t.items {
		if why := t.wrongResult(ctx, item); why != "" {
			t.found(Fail, "%v: %s", t.w.answer(item.Address), why)
			wrong++
		}
	}
	if wrong == 0 {
		t.found(OK, "%d of %d items have a valid result", len(t.items), len(t.items))
	}
	t.protocol(ctx)
	t.likeOurs(ctx)
	t.w.first = map[string]string{}
	for _, item := range t.items {
		t.w.first[item.Key] = t.digest(ctx, item)
	}
	return ctx.Err()
}

// allAnswered waits for the results of items, and says what became of those without one.
func (t *trial) allAnswered(ctx context.Context, items []broker.Message) bool {
	done := func() bool {
		for _, item := range items {
			if !t.answered(ctx, item) && !t.has(ctx, failed(item)) && t.program.running() {
				return false
			}
		}
		return true
	}
	t.until(ctx, t.w.Patience, done)
	fine := true
	for _, item := range items {
		if t.answered(ctx, item) {
			continue
		}
		fine = false
		if ctx.Err() != nil {
			return false // interrupted: nothing is known
		}
		t.found(Fail, "%v has no result: %s", item.Address, t.became(ctx, item))
	}
	return fine
}

// became says what became of an item without a result.
func (t *trial) became(ctx context.Context, item broker.Message) string {
	at := failed(item)
	if b, err := t.w.site.Get(ctx, at.Run, at.Record, at.Round, at.Key); err == nil {
		if rows, err := schemas.Decode[schemas.Failed](b); err == nil && len(rows) == 1 {
			return fmt.Sprintf("it was given up (%s): %s", rows[0].Reason, rows[0].Error)
		}
		return "it was given up, by a failure record that cannot be read"
	}
	switch {
	case !t.program.running():
		return "the program has ended"
	case len(t.signals(item, "retry")) > 0:
		return fmt.Sprintf("it was given back %d times", len(t.signals(item, "retry")))
	case len(t.signals(item, "ack")) > 0:
		return "it was acked without one: the run would not end"
	case len(t.signals(item, "heartbeat")) > 0:
		return fmt.Sprintf("it is still in work after %v (--patience)", t.w.Patience)
	}
	return fmt.Sprintf("nothing was heard about it in %v: does the program pull from queue %s of the run that it "+
		"is told?", t.w.Patience, t.w.Stage)
}

// wrongResult says what is wrong about a result; "": nothing.
func (t *trial) wrongResult(ctx context.Context, item broker.Message) string {
	to := t.w.answer(item.Address)
	b, err := t.w.site.Get(ctx, to.Run, to.Record, to.Round, to.Key)
	if err != nil {
		return err.Error()
	}
	in, err := schemas.ParseHeader(item.Header)
	if err != nil {
		return "the item: " + err.Error()
	}
	h := b.Header
	if err := schemas.Readable(t.w.spec.Schema, h.Schema); err != nil {
		return "header itool-schema: " + err.Error()
	}
	for _, d := range []struct{ header, have, want string }{
		{"itool-run", h.Run, to.Run}, {"itool-round", fmt.Sprint(h.Round), fmt.Sprint(to.Round)},
		{"itool-key", h.Key, to.Key}, {"itool-policy", h.Policy, in.Policy}, {"itool-config", h.Config, in.Config},
		{"itool-input", h.Input, in.SHA256},
	} {
		if d.have != d.want {
			return fmt.Sprintf("header %s is %.70q, want %.70q", d.header, d.have, d.want)
		}
	}
	if h.SHA256 == "" {
		return "it has no header itool-sha256"
	}
	if err := t.w.rows(ctx, item, b); err != nil {
		return err.Error()
	}
	return ""
}

// protocol looks at how the results were published and acked.
func (t *trial) protocol(ctx context.Context) {
	early, open, unguarded, unnamed := 0, 0, 0, 0
	for _, item := range t.items {
		t.until(ctx, 2*t.w.AckWait, func() bool { return len(t.signals(item, "ack")) > 0 })
		acks, published := t.signals(item, "ack"), t.published(t.w.answer(item.Address))
		switch {
		case len(acks) == 0:
			open++
		case len(published) > 0 && acks[0].At.Before(published[0].At):
			early++
		}
		if len(published) == 0 {
			continue
		}
		if published[0].Header["Nats-Expected-Last-Subject-Sequence"] != "0" {
			unguarded++
		}
		if published[0].Header["itool-worker"] == "" {
			unnamed++
		}
	}
	if early > 0 {
		t.found(Fail, "%d items were acked before their result was published: a crash in between loses them", early)
	}
	if open > 0 {
		t.found(Fail, "%d items were not acked: they come again and again", open)
	}
	if unguarded > 0 {
		t.found(Warn, "%d results were published without Nats-Expected-Last-Subject-Sequence: 0", unguarded)
	}
	if unnamed > 0 {
		t.found(Warn, "%d results have no header itool-worker, which tells people who wrote them", unnamed)
	}
}

// likeOurs compares the results with those of our own stage.
func (t *trial) likeOurs(ctx context.Context) {
	same := 0
	for _, item := range t.items {
		if b, err := t.w.ours(ctx, item.Address); err == nil && b.Header.SHA256 == t.digest(ctx, item) {
			same++
		}
	}
	t.found(Note, "%d of %d results have the bytes of our own stage", same, len(t.items))
}

// repeats gives the program the same items again, with headers that it does not know.
func repeats(ctx context.Context, t *trial) error {
	err := t.put(ctx, func(m *broker.Message) {
		m.Header["itool-later"], m.Header["Other-Client"] = "42", "a header of another client"
	}, t.w.items...)
	if err == nil {
		err = t.start(ctx)
	}
	if err != nil {
		return err
	}
	if !t.allAnswered(ctx, t.items) {
		return ctx.Err()
	}
	t.sameAsFirst(ctx, t.items, "with headers that it does not know")
	return ctx.Err()
}

// sameAsFirst compares results with those of the first check.
func (t *trial) sameAsFirst(ctx context.Context, items []broker.Message, how string) {
	var other []string
	for _, item := range items {
		if t.digest(ctx, item) != t.w.first[item.Key] {
			other = append(other, item.Key)
		}
	}
	if len(other) > 0 {
		t.found(Fail, "%d of %d results have other bytes %s, such as that of %s: take every random choice from "+
			"itool-seed", len(other), len(items), how, other[0])
		return
	}
	t.found(OK, "%d of %d results have the same bytes %s", len(items), len(items), how)
}

// stray publishes a message that the round's manifest does not have.
func stray(ctx context.Context, t *trial) error {
	good := t.w.items[0]
	err := t.put(ctx, func(m *broker.Message) { m.Key, m.Header["itool-key"] = "stray", "stray" }, good)
	if err == nil {
		err = t.put(ctx, nil, good)
	}
	if err == nil {
		err = t.start(ctx)
	}
	if err != nil || !t.allAnswered(ctx, t.items[1:]) {
		return err
	}
	foreign := t.items[0]
	t.until(ctx, 2*t.w.AckWait, func() bool { return len(t.signals(foreign, "ack")) > 0 || t.answered(ctx, foreign) })
	switch {
	case t.answered(ctx, foreign):
		t.found(Warn, "it worked on a message that the round's manifest does not have; the keeper ignores the result")
	case t.has(ctx, failed(foreign)):
		t.found(Warn, "it gave up a message that the round's manifest does not have, instead of dropping it")
	case len(t.signals(foreign, "ack")) == 0:
		t.found(Warn, "it did not ack a message that the round's manifest does not have: it comes again")
	default:
		t.found(OK, "a message that the round's manifest does not have was dropped")
	}
	return nil
}

// newer publishes an item of a version that does not exist yet.
func newer(ctx context.Context, t *trial) error {
	record, _, _ := strings.Cut(t.w.items[0].Header["itool-schema"], "/")
	later := record + "/v99"
	err := t.put(ctx, func(m *broker.Message) { m.Header["itool-schema"] = later }, t.w.items[0])
	if err == nil {
		err = t.put(ctx, nil, t.w.items[1:]...)
	}
	if err == nil {
		err = t.start(ctx)
	}
	if err != nil {
		return err
	}
	item, others := t.items[0], t.items[1:]
	if len(others) > 0 && !t.allAnswered(ctx, others) {
		t.found(Fail, "an item of %s keeps the program from the others", later)
	}
	t.until(ctx, t.w.Patience, func() bool {
		return len(t.signals(item, "heartbeat", "retry", "ack")) > 0 || !t.program.running()
	})
	t.until(ctx, t.w.AckWait, func() bool { return t.has(ctx, failed(item)) || t.answered(ctx, item) })
	switch {
	case t.answered(ctx, item):
		t.found(Fail, "it answered an item of %s, which it cannot know: look at itool-schema before the body", later)
	case t.has(ctx, failed(item)):
		t.found(Fail, "it gave up an item of %s, which a newer worker could serve: hold it or hand it back", later)
	case len(t.signals(item, "ack")) > 0:
		t.found(Fail, "it acked an item of %s without a result: no newer worker gets it", later)
	case !t.program.running():
		t.found(Fail, "the program ended at an item of %s", later)
	case t.attempts(ctx, item) > 0:
		t.found(Fail, "it gave back an item of %s as a failed attempt: after five a newer worker gives it up, too; "+
			"record the hand-back first", later)
	default:
		t.found(OK, "an item of %s waits for a newer worker", later)
	}
	return ctx.Err()
}
