package worker

import (
	"context"
	"errors"
	"hash/fnv"
	"slices"
	"sync"

	"itool/broker"
	"itool/ops/courier"
	"itool/schemas"
)

// A queue holds every message that a client of the broker publishes to its subjects. The manifest of the round
// says which of them are items. The worker drops the others without a result and without a failure record. The
// keeper counts them.

// maxManifests is how many manifests a worker remembers: those of the rounds that it serves at a time.
const maxManifests = 16

// manifests remembers the keys of manifests, as hashes of 8 bytes: a round may have a million keys.
type manifests struct {
	mu   sync.Mutex
	last []*manifest // the one that was used last comes last
}

type manifest struct {
	at       broker.Address
	sequence uint64
	sha      string
	hashes   []uint64 // sorted
}

func hashOf(key string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(key)) // never fails
	return h.Sum64()
}

func (m *manifest) has(key string) bool {
	_, found := slices.BinarySearch(m.hashes, hashOf(key))
	return found
}

// isForeign reports whether the message is no item of its round. Tasks are published after the manifest; a
// result may be there before, where a lab took it over from another run.
func (it *item) isForeign(ctx context.Context) (bool, error) {
	if it.w.Awaits == nil || it.spec.Gather {
		return false, nil
	}
	result, task := it.w.Awaits(it.d.Record)
	if result == "" {
		return false, nil
	}
	at := broker.Address{Run: it.runName, Record: schemas.RecordManifest, Round: it.d.Round, Key: result}
	if m := it.w.manifests.get(at); m != nil && m.has(it.d.Key) && (!task || m.sequence < it.d.Sequence) {
		return false, nil
	}
	m, err := it.w.readManifest(ctx, at)
	switch {
	case errors.Is(err, broker.ErrNotExist):
		return task, nil
	case err != nil:
		return false, err
	case m == nil:
		return false, nil // it cannot be read: the keeper says what is wrong
	}
	return !m.has(it.d.Key) || task && it.d.Sequence < m.sequence, nil
}

// readManifest reads a manifest, unless the one that is remembered is the same.
func (w *Worker) readManifest(ctx context.Context, at broker.Address) (*manifest, error) {
	msg, err := w.Courier.Broker.Get(ctx, at)
	if err != nil {
		return nil, courier.Infra(ctx, err)
	}
	sha := msg.Header["itool-sha256"]
	if m := w.manifests.get(at); m != nil && m.sequence == msg.Sequence && m.sha == sha {
		return m, nil
	}
	b, err := w.Courier.Open(ctx, msg)
	var infra *courier.InfraError
	switch {
	case isLost(err):
		return nil, lost(err)
	case errors.As(err, &infra) || ctx.Err() != nil:
		return nil, err
	case err != nil:
		return nil, nil //nolint:nilerr // no manifest
	}
	rows, err := schemas.Decode[schemas.Manifest](b)
	if err != nil {
		return nil, nil //nolint:nilerr // no manifest
	}
	m := &manifest{at: at, sequence: msg.Sequence, sha: sha, hashes: make([]uint64, len(rows))}
	for i, row := range rows {
		m.hashes[i] = hashOf(row.Key)
	}
	slices.Sort(m.hashes)
	w.manifests.put(m)
	return m, nil
}

func (c *manifests) get(at broker.Address) *manifest {
	c.mu.Lock()
	defer c.mu.Unlock()
	i := slices.IndexFunc(c.last, func(m *manifest) bool { return m.at == at })
	if i < 0 {
		return nil
	}
	m := c.last[i]
	c.last = append(slices.Delete(c.last, i, i+1), m)
	return m
}

func (c *manifests) put(m *manifest) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.last = slices.DeleteFunc(c.last, func(old *manifest) bool { return old.at == m.at })
	if len(c.last) == maxManifests {
		c.last = slices.Delete(c.last, 0, 1)
	}
	c.last = append(c.last, m)
}

// errForeign ends the work on a message that is no item.
var errForeign = errors.New("it is no item of the round's manifest")

// withdrawn reports whether the item's message was taken out of the stream since it was delivered: the keeper
// refused it, and its writer makes it again.
func (it *item) withdrawn(ctx context.Context) bool {
	m, err := it.w.Courier.Broker.Get(ctx, it.d.Address)
	return errors.Is(err, broker.ErrNotExist) || err == nil && m.Sequence != it.d.Sequence
}
