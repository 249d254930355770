package broker

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// ErrReplicas says that the servers cannot hold as many copies of a stream as Config.Replicas. It
// is also ErrUnavailable if that is so because a server is down.
var ErrReplicas = errors.New("too few servers for the copies of a stream")

const (
	maxReplicas = 5 // the server's limit

	codeNoPeers    = 10005 // no suitable servers for a stream; the description says what they lack
	codeNotCluster = 10074 // more than one copy on a single server
)

// checkReplicas refuses a number of copies that the server cannot hold. Of a cluster it knows
// only when a stream is made: servers may be down, or have no room.
func (b *Broker) checkReplicas() error {
	if b.replicas > maxReplicas {
		return fmt.Errorf("%w: %d copies are asked for; 1 to %d are possible, and 3 are usual",
			ErrReplicas, b.replicas, maxReplicas)
	}
	if b.replicas > 1 && b.nc.ConnectedClusterName() == "" {
		return fmt.Errorf("%w: %d copies are asked for, and this server is alone: connect to a cluster, or ask for 1"+
			" (--stream-replicas)", ErrReplicas, b.replicas)
	}
	return nil
}

// explainReplicas is nil unless the server said that it cannot place a stream's copies.
func (b *Broker) explainReplicas(op string, api *jetstream.APIError) error {
	if api.ErrorCode != codeNoPeers && api.ErrorCode != codeNotCluster {
		return nil
	}
	err := ErrReplicas
	if offline(api) {
		err = fmt.Errorf("%w: %w", ErrUnavailable, ErrReplicas)
	}
	return fmt.Errorf("broker: %s: %w: %d are asked for (%s): start more servers with JetStream and free room,"+
		" or ask for fewer copies (--stream-replicas)", op, err, b.replicas, api.Description)
}

// offline reports that a new stream has too few servers because one is down, or does not know
// yet that another one is up.
func offline(api *jetstream.APIError) bool {
	return api.ErrorCode == codeNoPeers && strings.Contains(api.Description, "offline")
}

// Replicas is the number of copies of every stream that this connection makes.
func (b *Broker) Replicas() int { return b.replicas }

// EnsureShared makes the streams that all runs share: the start messages, the leases, the
// hand-backs and the states. Workers then need no right to make one.
func (b *Broker) EnsureShared(ctx context.Context) error {
	const op = "make the streams that all runs share"
	if err := b.ensureStartStream(ctx); err != nil {
		return b.explain(ctx, op, err)
	}
	for _, open := range []func(context.Context) (jetstream.KeyValue, error){b.leases, b.handBackBucket, b.states} {
		if _, err := open(ctx); err != nil {
			return b.explain(ctx, op, err)
		}
	}
	return nil
}

// EnsureReplicas makes the streams that all runs share, and raises every stream of ours that
// has fewer copies than Config.Replicas. It lowers none.
// ErrReplicas if there are too few servers. The server copies the messages after the call.
func (b *Broker) EnsureReplicas(ctx context.Context) error {
	if err := b.EnsureShared(ctx); err != nil || b.replicas == 1 {
		return err
	}
	op := fmt.Sprintf("keep %d copies of every stream", b.replicas)
	c, cancel := b.call(ctx)
	defer cancel()
	list := b.js.ListStreams(c)
	for i := range list.Info() {
		if !ours(i.Config.Name) || i.Config.Replicas >= b.replicas {
			continue
		}
		if err := b.raise(ctx, i.Config); err != nil {
			return b.explain(ctx, op+": "+i.Config.Name, err)
		}
	}
	return b.explain(ctx, op, list.Err())
}

func (b *Broker) raise(ctx context.Context, have jetstream.StreamConfig) error {
	c, cancel := b.call(ctx)
	defer cancel()
	have.Replicas = b.replicas
	_, err := b.js.UpdateStream(c, have)
	return err
}

func ours(stream string) bool {
	return stream == streamRuns || strings.HasPrefix(stream, streamRun) || strings.HasPrefix(stream, "KV_itool_")
}

// Copies says where a stream is.
type Copies struct {
	Stream string
	Wanted int    // copies that it should have
	Behind int    // copies that are offline or lack messages
	Leader string // name of the server that writes it; "" while one is elected, or on a single server
}

// Copies lists the streams of all runs and those that the runs share.
func (b *Broker) Copies(ctx context.Context) ([]Copies, error) {
	c, cancel := b.call(ctx)
	defer cancel()
	var all []Copies
	list := b.js.ListStreams(c)
	for i := range list.Info() {
		if !ours(i.Config.Name) {
			continue
		}
		s := Copies{Stream: i.Config.Name, Wanted: i.Config.Replicas}
		if i.Cluster != nil {
			s.Leader = i.Cluster.Leader
			for _, r := range i.Cluster.Replicas {
				if r.Offline || !r.Current {
					s.Behind++
				}
			}
		}
		all = append(all, s)
	}
	return all, b.explain(ctx, "list the copies of streams", list.Err())
}
