package broker

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go/jetstream"
)

// ErrKept: the records of this run cannot be removed. Runs that an older version made are such.
var ErrKept = errors.New("the run's records cannot be removed")

// Remove takes one record out of its stream: the one that is at this position, never another one that was
// published to the same address later. It is for records that are no results, such as half a message of
// a foreign client: afterwards the right one can be published. Removing a record that is gone is no error.
func (b *Broker) Remove(ctx context.Context, at Address, sequence uint64) error {
	if err := at.validate(); err != nil {
		return err
	}
	op := "remove " + at.String()
	c, cancel := b.call(ctx)
	defer cancel()
	s, err := b.js.Stream(c, streamRun+at.Run)
	if err != nil {
		return b.explain(ctx, op, err)
	}
	if s.CachedInfo().Config.DenyDelete {
		return fmt.Errorf("broker: %s: %w", op, ErrKept)
	}
	err = s.DeleteMsg(c, sequence)
	if !errors.Is(err, jetstream.ErrMsgDeleteUnsuccessful) {
		return b.explain(ctx, op, err)
	}
	// Another process may have removed it. Only the leader knows.
	m, getErr := b.getFromLeader(ctx, streamRun+at.Run, at.String(), op)
	if errors.Is(getErr, ErrNotExist) || getErr == nil && m.Sequence != sequence {
		return nil
	}
	return b.explain(ctx, op, err)
}
