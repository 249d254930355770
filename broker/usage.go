package broker

import (
	"context"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// Usages says how full the streams of all runs are, by run.
func (b *Broker) Usages(ctx context.Context) (map[string]Usage, error) {
	c, cancel := b.call(ctx)
	defer cancel()
	all := map[string]Usage{}
	list := b.js.ListStreams(c, jetstream.WithStreamListSubject(runPrefix+">"))
	for i := range list.Info() {
		if run, ok := strings.CutPrefix(i.Config.Name, streamRun); ok {
			all[run] = Usage{Messages: i.State.Msgs, Bytes: i.State.Bytes, QuotaBytes: i.Config.MaxBytes}
		}
	}
	return all, b.explain(ctx, "usage of all runs", list.Err())
}
