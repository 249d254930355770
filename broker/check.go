package broker

import (
	"context"
	"time"
)

// Server describes the server at the other end of a connection.
type Server struct {
	Name, Version string
	Cluster       string // name of its cluster; "": it is alone
}

// Server describes the server that this connection has reached now.
func (b *Broker) Server() Server {
	return Server{
		Name: b.nc.ConnectedServerName(), Version: b.nc.ConnectedServerVersion(), Cluster: b.nc.ConnectedClusterName(),
	}
}

// Limits say how much of JetStream this user's account may use, and how much it uses. −1 or 0
// as a limit: no limit besides those of the server itself.
type Limits struct {
	Bytes, MaxBytes         int64 // of all streams on disk; Bytes counts what streams have reserved
	MaxStreamBytes          int64 // of one stream
	Streams, MaxStreams     int
	Consumers, MaxConsumers int
	MaxAckPending           int // items in work at once, per stage
}

// Limits reads them from the server.
func (b *Broker) Limits(ctx context.Context) (Limits, error) {
	c, cancel := b.call(ctx)
	defer cancel()
	i, err := b.js.AccountInfo(c)
	if err != nil {
		return Limits{}, b.explain(ctx, "read the limits of the account", err)
	}
	return Limits{
		Bytes: int64(max(i.Store, i.ReservedStore)), MaxBytes: i.Limits.MaxStore,
		MaxStreamBytes: i.Limits.StoreMaxStreamBytes,
		Streams:        i.Streams, MaxStreams: i.Limits.MaxStreams,
		Consumers: i.Consumers, MaxConsumers: i.Limits.MaxConsumers,
		MaxAckPending: i.Limits.MaxAckPending,
	}, nil
}

// ClockSkew is how far the server's clock is ahead of this machine's, within half of the time
// that the answer took.
func (b *Broker) ClockSkew(ctx context.Context) (ahead, within time.Duration, err error) {
	if err := b.ensureStartStream(ctx); err != nil {
		return 0, 0, b.explain(ctx, "read the server's clock", err)
	}
	c, cancel := b.call(ctx)
	defer cancel()
	asked := time.Now()
	s, err := b.js.Stream(c, streamRuns)
	if err != nil {
		return 0, 0, b.explain(ctx, "read the server's clock", err)
	}
	within = time.Since(asked) / 2
	return s.CachedInfo().TimeStamp.Sub(asked.Add(within)), within, nil
}
