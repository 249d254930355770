// Package broker carries bytes between the stages. It does not know what they mean.
//
// It is the only package that knows NATS JetStream. What it promises:
//
//   - Every run is one stream of write-once records, addressed by record, round and key.
//     Publishing twice is safe: the first record stays, and the second call is told so.
//   - A stage pulls its work one item at a time. An item that is neither acked nor kept
//     alive by heartbeats is delivered again, so every item is delivered at least once.
//   - A lease says who may do the work of a whole round. It saves duplicate work, but it
//     does not protect results: only the write-once record decides which result counts.
//   - Hints and progress may get lost.
//
// It does not know Arrow, schemas, stages, or how often an item may fail.
//
// The smallest use, with a server in this process:
//
//	s, err := embed.Start(embed.Config{Dir: dir, InProcessOnly: true})
//	b, err := broker.Connect(ctx, broker.Config{InProcess: s})
//	err = b.CreateRun(ctx, "r1", 1<<30)
//	stored, err := b.Publish(ctx, broker.Address{Run: "r1", Record: "pair", Key: "41af"}, nil, data)
//
// Nothing is buffered while the server is away: a call then fails at once with
// [ErrUnavailable], and the caller decides whether to try again. No call takes longer
// than Config.Timeout.
package broker

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Config says where the server is and how to log in. The zero value of a field is its
// default. Exactly one of URL and InProcess is needed.
type Config struct {
	URL       string    // nats://host:4222, or several with commas between
	InProcess InProcess // a server in this process; if it is set, URL is ignored

	Name string // shown in the server's list of connections

	// How to log in: at most one of Token, User, Creds and NKeySeed.
	Token          string // a shared secret
	User, Password string
	Creds          string // path of a .creds file; it is read at every connection
	NKeySeed       string // path of a file with an nkey seed
	CA             string // path of a PEM file; with it the connection uses TLS
	Cert, Key      string // paths of PEM files: our own certificate
	InboxToken     string // answers arrive on _INBOX_<InboxToken>.>, so that each stage can have its own permissions

	Replicas int           // copies of every stream that this connection makes, 1 to 5; default 1; use 3 on a cluster
	Timeout  time.Duration // limit of one exchange with the server; default 5 s
	Log      *slog.Logger  // lost connections, denied permissions; default: no log
}

// InProcess is a server that hands out connections without a socket; embed.Server is one.
type InProcess interface {
	InProcessConn() (net.Conn, error)
}

// Broker is one connection to a server. Many goroutines may use it at once.
type Broker struct {
	nc       *nats.Conn
	js       jetstream.JetStream
	server   string // for errors
	replicas int
	timeout  time.Duration
	log      *slog.Logger
	denied   denials

	mu          sync.Mutex // guards the two fields below
	startStream bool       // the stream of starts is known to exist
	buckets     map[string]jetstream.KeyValue
}

// Connect tries once; its error says why it failed and what to check. A connection that
// is lost later reconnects by itself, without a limit on the number of attempts.
func Connect(ctx context.Context, c Config) (*Broker, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("broker: connect: %w", err)
	}
	b := &Broker{
		replicas: max(c.Replicas, 1),
		timeout:  c.Timeout,
		log:      c.Log,
		buckets:  map[string]jetstream.KeyValue{},
	}
	if b.timeout <= 0 {
		b.timeout = 5 * time.Second
	}
	if b.log == nil {
		b.log = slog.New(slog.DiscardHandler)
	}
	var err error
	if c.InProcess != nil {
		b.server = "the server in this process"
	} else if b.server, err = redactURLs(c.URL); err != nil {
		return nil, fmt.Errorf("broker: connect: %w", err)
	}
	opts, err := b.options(ctx, c)
	if err != nil {
		return nil, err
	}
	b.nc, err = nats.Connect(c.URL, opts...)
	if err != nil {
		return nil, fmt.Errorf("broker: connect %s: %w", b.server, explainConnect(err))
	}
	if err := errors.Join(checkServerVersion(b.nc.ConnectedServerVersion()), b.checkReplicas()); err != nil {
		b.nc.Close()
		return nil, fmt.Errorf("broker: connect %s: %w", b.server, err)
	}
	if b.js, err = jetstream.New(b.nc, jetstream.WithDefaultTimeout(b.timeout)); err != nil {
		b.nc.Close()
		return nil, fmt.Errorf("broker: connect %s: %w", b.server, err)
	}
	return b, nil
}

// Close sends the hints that are still buffered and ends the connection. An item that
// is still in work is delivered to another worker after its AckWait: hand it back first.
func (b *Broker) Close() {
	if b.nc.IsConnected() {
		_ = b.nc.FlushTimeout(min(b.timeout, time.Second)) // an error loses only hints, which may get lost
	}
	b.nc.Close()
}

// MaxMessageBytes is the size of the largest message that the server accepts, headers included.
func (b *Broker) MaxMessageBytes() int64 { return b.nc.MaxPayload() }

// maxDial limits the attempt to connect to one server.
const maxDial = 5 * time.Second

func (b *Broker) options(ctx context.Context, c Config) ([]nats.Option, error) {
	wait := min(b.timeout, maxDial) // of several servers, some may be away
	if d, ok := ctx.Deadline(); ok {
		wait = max(min(wait, time.Until(d)), time.Millisecond)
	}
	opts := []nats.Option{
		nats.Name(c.Name),
		nats.Timeout(wait),
		nats.MaxReconnects(-1),
		nats.ReconnectWait(250 * time.Millisecond),
		nats.ReconnectJitter(250*time.Millisecond, 250*time.Millisecond),
		nats.PingInterval(20 * time.Second),
		// No buffer while the server is away: a heartbeat or an ack that is sent minutes
		// late would act on another worker's delivery.
		nats.ReconnectBufSize(-1),
		nats.ErrorHandler(b.asyncError),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				b.log.Warn("broker: connection lost, trying again", "server", b.server, "err", err)
			}
		}),
		nats.ReconnectHandler(func(nc *nats.Conn) {
			b.log.Info("broker: connected again", "server", Redact(nc.ConnectedUrl()))
		}),
	}
	if c.InProcess != nil {
		opts = append(opts, nats.InProcessServer(c.InProcess))
	}
	if c.InboxToken != "" {
		if err := validToken("inbox token", c.InboxToken); err != nil {
			return nil, err
		}
		opts = append(opts, nats.CustomInboxPrefix("_INBOX_"+c.InboxToken))
	}
	login, err := loginOptions(c)
	return append(opts, login...), err
}

// checkServerVersion refuses servers without per-message time limits, which leases need.
func checkServerVersion(version string) error {
	major, rest, _ := strings.Cut(version, ".")
	minor, _, _ := strings.Cut(rest, ".")
	x, err1 := strconv.Atoi(major)
	y, err2 := strconv.Atoi(minor)
	readable := err1 == nil && err2 == nil // an unreadable version is no reason to refuse
	if !readable || x > 2 || x == 2 && y >= 11 {
		return nil
	}
	return fmt.Errorf("the server is NATS %s: 2.11 or newer is needed", version)
}

// openOrCreate opens a stream, consumer or bucket, and creates it if open answers with
// the error missing. Several callers may do so at once. On a cluster the answer to a
// creation can get lost, and the node that we are connected to may not have heard yet of what
// was created, so it tries again until the time of one call is over.
func openOrCreate[T any](
	ctx context.Context, b *Broker, missing error, open, create func(context.Context) (T, error),
) (T, error) {
	c, cancel := b.call(ctx)
	defer cancel()
	for {
		try, stop := b.try(c)
		v, err := open(try)
		if errors.Is(err, missing) {
			v, err = create(try)
		}
		stop()
		again := b.mayPass(err) || errors.Is(err, jetstream.ErrStreamNameAlreadyInUse) || errors.Is(err, missing)
		if !again || !pause(c) {
			return v, err
		}
	}
}

// passes reports the errors of an exchange that may succeed when it is repeated: its time was
// up, or a cluster has no leader at the moment, or lacks a server for a new stream.
func passes(err error) bool {
	var api *jetstream.APIError
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, nats.ErrTimeout) ||
		errors.As(err, &api) && (api.ErrorCode == codeNoLeader || offline(api))
}

// mayPass is passes, but no unanswered request is repeated that the server has just denied.
func (b *Broker) mayPass(err error) bool {
	return passes(err) && b.denied.recent(b.timeout+time.Second) == ""
}

// pause waits a moment before an exchange is repeated. It answers false if the time of the
// call is over.
func pause(c context.Context) bool {
	select {
	case <-time.After(20 * time.Millisecond):
		return true
	case <-c.Done():
		return false
	}
}

// call limits one exchange with the server to Config.Timeout. The caller's own deadline
// still applies.
func (b *Broker) call(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, b.timeout)
}

// try limits one of several attempts within a call. A server that dies takes the requests with
// it that it has not answered: waiting for those until the end of the call would be in vain.
func (b *Broker) try(c context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(c, b.timeout/5)
}

// askTwice repeats a request that may be done twice if a server does not answer it soon.
func askTwice[T any](b *Broker, c context.Context, ask func(context.Context) (T, error)) (T, error) {
	try, stop := b.try(c)
	v, err := ask(try)
	stop()
	if !b.mayPass(err) || c.Err() != nil {
		return v, err
	}
	return ask(c)
}
