// Package courier carries batches: it turns the broker's messages and the store's objects into records
// and back.
//
// Small bodies travel inside the message. A larger body is claim-checked: it is stored, compressed,
// under its own digest, and the message carries only the claim. The body is stored before its message
// is published, so no message points to a missing body. A stored body without a message is waste that
// `gc` removes, never a wrong result.
//
// courier.go publishes and opens batches. run.go reads the records of a run that many packages need.
package courier

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"strconv"
	"sync/atomic"

	"github.com/klauspost/compress/zstd"

	"itool/broker"
	"itool/schemas"
	"itool/storage"
)

// InlineBytes is the largest body that travels inside a message. The server would take 8 MB, but a
// stream of small messages replays much faster.
const InlineBytes = 256 << 10

// Checkpoints is the storage prefix of all policies, the base included. Policies share parts by
// digest, so every round stores only its adapter.
const Checkpoints = "checkpoints"

// maxBodyBytes bounds the size of a claimed body: a hostile claim must not fill the memory.
const maxBodyBytes = 1 << 30

// Message headers of the claim check, beside those of schemas.Header.
const (
	headerClaim = "itool-claim" // storage key of the compressed body
	headerSize  = "itool-size"  // bytes of the body behind the claim
	// HeaderSeconds is the wall time that it took to make the batch, for the report. It is not part
	// of the result: two workers may write different values.
	HeaderSeconds = "itool-seconds"
)

// InfraError is a failure of the broker or the store. No stage is at fault, so it never counts as a
// failed attempt: wait and try again.
type InfraError struct{ Err error }

func (e *InfraError) Error() string { return e.Err.Error() }
func (e *InfraError) Unwrap() error { return e.Err }

// Infra wraps an error of broker or store as an InfraError. It leaves three kinds as they are: nil, the
// end of ctx, and errors that waiting does not cure, because something is missing, damaged or has a bad
// name. Do not use it for errors of decoding: waiting does not cure those either.
func Infra(ctx context.Context, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	for _, final := range []error{
		broker.ErrNoRun, broker.ErrNotExist, broker.ErrBadName, broker.ErrTooLarge,
		storage.ErrCorrupt, storage.ErrBadKey,
		fs.ErrNotExist, // storage.ErrNotExist, and a file that the checkpoint does not have
	} {
		if errors.Is(err, final) {
			return err
		}
	}
	return &InfraError{err}
}

// Courier is safe for concurrent use.
type Courier struct {
	Broker *broker.Broker
	Store  storage.Store

	storeID atomic.Pointer[string] // read once: it never changes
}

// StoreID is the identity of the store; see storage.Identity. storage.ErrNotExist: it has none.
func (c *Courier) StoreID(ctx context.Context) (string, error) {
	if id := c.storeID.Load(); id != nil {
		return *id, nil
	}
	id, err := storage.Identity(ctx, c.Store)
	if err != nil {
		return "", Infra(ctx, err)
	}
	c.storeID.Store(&id)
	return id, nil
}

// Publish writes b to itool.run.<run>.<record>.<round>.<key>; run, round and key are in its header.
// stored is false if the subject has a message already: the first one stays, and the caller adopts it.
// extra headers may be nil.
func (c *Courier) Publish(
	ctx context.Context, record string, b schemas.Batch, extra map[string]string,
) (stored bool, err error) {
	h := b.Header.Map()
	for k, v := range extra {
		h[k] = v
	}
	body := b.Body
	if len(body) > InlineBytes {
		key, err := c.deposit(ctx, b.Header.Run, body)
		if err != nil {
			return false, err
		}
		h[headerClaim], h[headerSize] = key, strconv.Itoa(len(body))
		body = nil
	}
	at := broker.Address{Run: b.Header.Run, Record: record, Round: b.Header.Round, Key: b.Header.Key}
	return c.Broker.Publish(ctx, at, h, body)
}

// deposit stores a body under its digest and returns the key. Equal bodies are stored once: the batches
// of the replay buffer are the same in every round.
func (c *Courier) deposit(ctx context.Context, run string, body []byte) (string, error) {
	sum := sha256.Sum256(body)
	key := fmt.Sprintf("runs/%s/bodies/%s.zst", run, hex.EncodeToString(sum[:]))
	packed := encoder.EncodeAll(body, nil)
	_, err := c.Store.PutIfAbsent(ctx, key, bytes.NewReader(packed), int64(len(packed)))
	if err != nil && !errors.Is(err, storage.ErrExists) {
		return "", fmt.Errorf("store body: %w", Infra(ctx, err))
	}
	return key, nil
}

// EncodeAll and DecodeAll are safe for concurrent use. With one thread each, the compressed bytes and
// the memory are the same on every machine. The decoder does not grow the buffer that it gets: a small
// frame may claim to hold gigabytes.
var (
	encoder, _ = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	decoder, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderMaxMemory(maxBodyBytes), zstd.WithDecodeAllCapLimit(true))
)

// Claim is the key in the store of a message's body; "": the body is in the message.
func Claim(m broker.Message) string { return m.Header[headerClaim] }

// Open turns a message into its batch and fetches a claimed body. It does not decode the rows.
func (c *Courier) Open(ctx context.Context, m broker.Message) (schemas.Batch, error) {
	h, err := schemas.ParseHeader(m.Header)
	if err != nil {
		return schemas.Batch{}, fmt.Errorf("message %v: %w", m.Address, err)
	}
	b := schemas.Batch{Header: h, Body: m.Data}
	key := m.Header[headerClaim]
	if key == "" {
		return b, nil
	}
	size, err := strconv.Atoi(m.Header[headerSize])
	if err != nil || size < 0 || size > maxBodyBytes {
		return schemas.Batch{}, fmt.Errorf("message %v: header %s: %q is not a size up to %d",
			m.Address, headerSize, m.Header[headerSize], maxBodyBytes)
	}
	b.Body, err = c.claim(ctx, key, size)
	if err != nil {
		return schemas.Batch{}, fmt.Errorf("message %v: claim %s: %w", m.Address, key, err)
	}
	return b, nil
}

func (c *Courier) claim(ctx context.Context, key string, size int) ([]byte, error) {
	r, _, err := c.Store.Get(ctx, key)
	if err != nil {
		return nil, Infra(ctx, err)
	}
	defer r.Close()
	packed, err := io.ReadAll(io.LimitReader(r, int64(size)+1<<16))
	if err != nil {
		return nil, Infra(ctx, err)
	}
	body, err := decoder.DecodeAll(packed, make([]byte, 0, size))
	if err != nil {
		return nil, fmt.Errorf("decompress: %w", err)
	}
	if len(body) != size {
		return nil, fmt.Errorf("%d bytes, the message says %d", len(body), size)
	}
	return body, nil
}

// Get reads one record of a run. broker.ErrNotExist: it does not exist yet. An InfraError: broker or
// store do not answer. Other errors: the record is damaged or foreign.
func (c *Courier) Get(ctx context.Context, run, record string, round int, key string) (schemas.Batch, error) {
	m, err := c.Broker.Get(ctx, broker.Address{Run: run, Record: record, Round: round, Key: key})
	if err != nil {
		return schemas.Batch{}, Infra(ctx, err)
	}
	return c.Open(ctx, m)
}

// Round reads the records of keys, in that order, one at a time. Give keys in key order: the order of
// the stream differs from run to run.
func (c *Courier) Round(
	ctx context.Context, run, record string, round int, keys []string,
) iter.Seq2[schemas.Batch, error] {
	return func(yield func(schemas.Batch, error) bool) {
		for _, key := range keys {
			b, err := c.Get(ctx, run, record, round, key)
			if err != nil {
				err = fmt.Errorf("read %s.%d.%s: %w", record, round, key, err)
			}
			if !yield(b, err) || err != nil {
				return
			}
		}
	}
}

// Rows reads and decodes one record.
func Rows[R schemas.Record](
	ctx context.Context, c *Courier, run, record string, round int, key string,
) ([]R, schemas.Header, error) {
	b, err := c.Get(ctx, run, record, round, key)
	if err != nil {
		return nil, schemas.Header{}, err
	}
	rows, err := schemas.Decode[R](b)
	if err != nil {
		return nil, b.Header, fmt.Errorf("%s.%d.%s: %w", record, round, key, err)
	}
	return rows, b.Header, nil
}

// AnnounceProgress sends a progress record to those who listen now.
func (c *Courier) AnnounceProgress(ctx context.Context, h schemas.Header, p schemas.Progress) {
	if b, err := schemas.Encode(h, []schemas.Progress{p}); err == nil {
		_ = c.Broker.Announce(ctx, broker.Progress, h.Run, b.Body) // lossy by design
	}
}

// ListenProgress yields progress records of a run until ctx ends. It skips what does not decode.
func (c *Courier) ListenProgress(ctx context.Context, run string) (<-chan schemas.Progress, error) {
	in, err := c.Broker.Listen(ctx, broker.Progress, run)
	if err != nil {
		return nil, err
	}
	out := make(chan schemas.Progress, 16)
	go func() {
		defer close(out)
		for m := range in {
			h := schemas.Header{Schema: schemas.Progress{}.Schema(), Rows: 1}
			rows, err := schemas.Decode[schemas.Progress](schemas.Batch{Header: h, Body: m.Data})
			if err != nil {
				continue
			}
			select {
			case out <- rows[0]:
			default: // a slow reader misses some
			}
		}
	}()
	return out, nil
}
