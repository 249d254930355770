package broker

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// The errors that callers can branch on. All other errors are only text.
var (
	ErrExists      = errors.New("already exists with other bytes")
	ErrNotExist    = errors.New("does not exist")
	ErrNoRun       = errors.New("no such run, or it was deleted")
	ErrNoStage     = errors.New("no such queue: no worker has asked for it yet, or it was deleted")
	ErrFull        = errors.New("stream full")           // wait; raise the quota or delete a run
	ErrTooLarge    = errors.New("message too large")     // put the body into storage
	ErrEmpty       = errors.New("nothing to do")         // ask again later
	ErrHeld        = errors.New("lease held")            // another process does the work
	ErrLost        = errors.New("lease lost")            // stop: another process may do the work
	ErrUnavailable = errors.New("broker unavailable")    // wait and try again
	ErrDenied      = errors.New("permission denied")     // an operator must act
	ErrBadName     = errors.New("not a legal name")      // see [Address]
	errNoAnswer    = errors.New("no answer from server") // internal; explain turns it into ErrUnavailable
)

// Codes of the JetStream API that have no constant in the client.
const (
	codeResourcesExceeded = 10002 // the account's limit
	codeNoLeader          = 10008 // a leader is being elected, or too few servers of the cluster are up
	codeMostConsumers     = 10026 // the account's limit
	codeMostStreams       = 10027 // the account's limit
	codeStorageExceeded   = 10047 // the server's limit
	codeStoreFailed       = 10077 // a message was refused; the description says why
)

// explain turns an error of the NATS client into one of ours. op names the operation, as
// in "publish itool.run.r1.pair.0.41af". ctx is the caller's, without the limit of call.
func (b *Broker) explain(ctx context.Context, op string, err error) error {
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("broker: %s: %w", op, ctx.Err())
	}
	var api *jetstream.APIError
	switch {
	case errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("broker: %s: %w: the server takes %d bytes", op, ErrTooLarge, b.nc.MaxPayload())
	case errors.As(err, &api):
		return b.explainAPI(op, api)
	case errors.Is(err, nats.ErrConnectionClosed):
		return fmt.Errorf("broker: %s: this connection was closed", op)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout), errors.Is(err, errNoAnswer):
		if text := b.denied.recent(b.timeout + time.Second); text != "" {
			return fmt.Errorf("broker: %s: %w: %s", op, ErrDenied, text)
		}
		return fmt.Errorf("broker: %s: %w: no answer within %v from %s", op, ErrUnavailable, b.timeout, b.server)
	case errors.Is(err, nats.ErrNoResponders), errors.Is(err, jetstream.ErrNoStreamResponse):
		return fmt.Errorf("broker: %s: %w: JetStream does not answer at %s; perhaps it is off,"+
			" or a leader is being elected", op, ErrUnavailable, b.server)
	case errors.Is(err, nats.ErrReconnectBufExceeded), errors.Is(err, nats.ErrDisconnected),
		errors.Is(err, nats.ErrConnectionReconnecting), errors.Is(err, nats.ErrConnectionDraining),
		errors.Is(err, nats.ErrStaleConnection):
		return fmt.Errorf("broker: %s: %w: the connection to %s is down", op, ErrUnavailable, b.server)
	}
	return fmt.Errorf("broker: %s: %w", op, err)
}

func (b *Broker) explainAPI(op string, api *jetstream.APIError) error {
	if err := b.explainReplicas(op, api); err != nil {
		return err
	}
	switch {
	case api.ErrorCode == jetstream.JSErrCodeStreamNotFound:
		return fmt.Errorf("broker: %s: %w", op, ErrNoRun)
	case api.ErrorCode == jetstream.JSErrCodeConsumerNotFound:
		return fmt.Errorf("broker: %s: %w", op, ErrNoStage)
	case api.ErrorCode == jetstream.JSErrCodeStreamMessageExceedsMaximum:
		return fmt.Errorf("broker: %s: %w: %s", op, ErrTooLarge, api.Description)
	case api.ErrorCode == codeStoreFailed && strings.Contains(api.Description, "maximum bytes"),
		api.ErrorCode == codeStorageExceeded, api.ErrorCode == codeResourcesExceeded,
		api.ErrorCode == codeMostStreams, api.ErrorCode == codeMostConsumers:
		return fmt.Errorf("broker: %s: %w: %s: raise the quota, or delete runs", op, ErrFull, api.Description)
	case api.ErrorCode == jetstream.JSErrCodeJetStreamNotEnabled,
		api.ErrorCode == jetstream.JSErrCodeJetStreamNotEnabledForAccount:
		return fmt.Errorf("broker: %s: JetStream is off at %s: enable it in the server's configuration", op, b.server)
	case api.Code == 503, api.ErrorCode == codeStoreFailed:
		return fmt.Errorf("broker: %s: %w: %s", op, ErrUnavailable, api.Description)
	}
	return fmt.Errorf("broker: %s: %w", op, api)
}

// retryUnanswered repeats ask as long as it gets no answer although look finds the stream
// or consumer: a request to a stream that has no leader at the moment goes unanswered
// just like a request to a deleted one. c already has the time limit of a call.
func retryUnanswered[T any](c context.Context, look func(context.Context) error, ask func() (T, error)) (T, error) {
	for {
		v, err := ask()
		if !errors.Is(err, nats.ErrNoResponders) && !errors.Is(err, jetstream.ErrNoStreamResponse) {
			return v, err
		}
		missing := look(c)
		if errors.Is(missing, jetstream.ErrStreamNotFound) || errors.Is(missing, jetstream.ErrConsumerNotFound) {
			return v, missing
		}
		if missing != nil && !passes(missing) {
			return v, err // look could not find out either
		}
		if !pause(c) {
			return v, err
		}
	}
}

func (b *Broker) findStream(stream string) func(context.Context) error {
	return func(c context.Context) error {
		try, stop := b.try(c)
		defer stop()
		_, err := b.js.Stream(try, stream)
		return err
	}
}

// asyncError receives the errors that belong to no call. The server reports a denied
// publish this way; the call itself only sees that no answer comes.
func (b *Broker) asyncError(_ *nats.Conn, sub *nats.Subscription, err error) {
	if errors.Is(err, nats.ErrPermissionViolation) {
		b.denied.add(err.Error())
	}
	subject := ""
	if sub != nil {
		subject = sub.Subject
	}
	b.log.Warn("broker: the server reports an error", "err", err, "subject", subject)
}

// denials remembers the last denied permission, so that the error of an unanswered call
// can name it.
type denials struct {
	mu   sync.Mutex
	text string
	at   time.Time
}

func (d *denials) add(text string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.text, d.at = text, time.Now()
}

func (d *denials) recent(age time.Duration) string {
	d.mu.Lock()
	defer d.mu.Unlock()
	if time.Since(d.at) > age {
		return ""
	}
	return d.text
}
