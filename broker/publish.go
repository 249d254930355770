package broker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Publish stores a record unless it exists. stored is false if it existed, also when the answer to
// this call's own first try was lost. That is a success too, but the stored bytes may be other
// ones: a caller that goes on with the record's content must Get it. After an error the record may
// or may not be stored; publishing again is safe.
func (b *Broker) Publish(
	ctx context.Context, at Address, header map[string]string, data []byte,
) (stored bool, err error) {
	if err := at.validate(); err != nil {
		return false, err
	}
	msg, err := newMsg(at.String(), header, data)
	if err != nil {
		return false, err
	}
	return b.put(ctx, streamRun+at.Run, "publish "+at.String(), msg)
}

// put publishes until the record exists, published by this call or by another one.
func (b *Broker) put(ctx context.Context, stream, op string, msg *nats.Msg) (stored bool, err error) {
	c, cancel := b.call(ctx)
	defer cancel()
	for {
		_, err = retryUnanswered(c, b.findStream(stream), func() (*jetstream.PubAck, error) {
			return askTwice(b, c, func(c context.Context) (*jetstream.PubAck, error) {
				return b.js.PublishMsg(c, msg,
					jetstream.WithExpectStream(stream),
					jetstream.WithExpectLastSequencePerSubject(0),
					jetstream.WithRetryAttempts(0))
			})
		})
		var api *jetstream.APIError
		switch {
		case err == nil:
			return true, nil
		case !errors.As(err, &api) || !conflict(api):
			return false, b.explain(ctx, op, err)
		}
		exists, err := b.confirm(ctx, stream, op, msg.Subject, api)
		if exists || err != nil {
			return false, err
		}
		select { // another publish of the same subject is under way: wait for its outcome
		case <-time.After(10 * time.Millisecond):
		case <-c.Done():
			err := fmt.Errorf("%w: the record was refused (%s) but does not exist", ErrUnavailable, api.Description)
			return false, b.explain(ctx, op, err)
		}
	}
}

// conflict reports the errors that mean: a message with this subject exists. 10071 names
// its sequence; 10164 comes from replicated streams; 10077 comes if the server checks the
// stream's limit per subject before our condition.
func conflict(api *jetstream.APIError) bool {
	return api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
		api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant ||
		api.ErrorCode == codeStoreFailed && strings.Contains(api.Description, "per subject")
}

// confirm checks that a refused record really exists. The server also answers 10071 with
// sequence 0 if it could not read its own disk, and 10164 while another publish of the
// same subject is under way that may still fail.
func (b *Broker) confirm(
	ctx context.Context, stream, op, subject string, api *jetstream.APIError,
) (exists bool, err error) {
	if api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence && !strings.HasSuffix(api.Description, ": 0") {
		return true, nil
	}
	_, err = b.getRecord(ctx, stream, subject, op)
	if errors.Is(err, ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}
