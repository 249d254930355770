package doctor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"itool/broker"
	"itool/ops/courier"
	"itool/storage"
)

// Store checks the store that open returns: that it writes, reads and deletes, writes what is
// absent once only, and has an identity. A store with a clock of its own is asked for the time.
// spec is shown only.
func Store(ctx context.Context, spec string, open func() (storage.Store, error)) []Finding {
	f := Finding{What: "store"}
	start := time.Now()
	s, err := open()
	if err == nil {
		err = tryStore(ctx, s)
	}
	if err != nil {
		f.Found, f.Remedy = err.Error(), "correct the address, the keys or the permissions"
		return []Finding{f}
	}
	f.Found = fmt.Sprintf("%s writes, reads and deletes in %s", spec, time.Since(start).Round(time.Millisecond))
	switch id, err := storage.Identity(ctx, s); {
	case errors.Is(err, storage.ErrNotExist):
		f.Remedy = "it has no identity, so no run can be published: itool doctor --create gives it one"
	case err != nil:
		f.Remedy = err.Error()
	default:
		f.Found += ", identity " + id
	}
	found := []Finding{f}
	if c, ok := s.(interface {
		ClockSkew(context.Context) (ahead, within time.Duration, err error)
	}); ok {
		ahead, within, err := c.ClockSkew(ctx)
		found = append(found, clock("clock", "the store", ahead, within, err))
	}
	return found
}

func tryStore(ctx context.Context, s storage.Store) (err error) {
	key := "doctor/" + rand.Text()
	if _, err := s.PutIfAbsent(ctx, key, strings.NewReader("ok"), 2); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Delete(context.WithoutCancel(ctx), key)) }()
	if _, err := s.PutIfAbsent(ctx, key, strings.NewReader("no"), 2); !errors.Is(err, storage.ErrExists) {
		return fmt.Errorf("a second write of an object that exists was not refused (%v): two workers could overwrite "+
			"each other's files; a store needs conditional writes (If-None-Match)", err)
	}
	r, _, err := s.Get(ctx, key)
	if err != nil {
		return err
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err == nil && string(text) != "ok" {
		err = fmt.Errorf("read back %q, want \"ok\"", text)
	}
	return err
}

// Runs checks that the runs which have not ended have their files in this store.
func Runs(ctx context.Context, c *courier.Courier) Finding {
	f := Finding{What: "runs"}
	own, err := c.StoreID(ctx)
	if err != nil {
		f.Found, f.Remedy = err.Error(), "see the store above"
		return f
	}
	open, elsewhere := 0, []string{}
	for run, err := range c.Started(ctx) {
		if err != nil {
			f.Found, f.Remedy = err.Error(), "update this itool if a newer one published the run"
			return f
		}
		ended, err := c.Ended(ctx, run.Name)
		if err != nil && !errors.Is(err, broker.ErrNoRun) {
			f.Found, f.Remedy = err.Error(), "see the broker above"
			return f
		}
		if ended {
			continue
		}
		open++
		if run.Store != "" && run.Store != own {
			elsewhere = append(elsewhere, fmt.Sprintf("%s (store %s)", run.Name, run.Store))
		}
	}
	f.Found = fmt.Sprintf("%d have not ended, all with their files in this store", open)
	if len(elsewhere) > 0 {
		f.Found = fmt.Sprintf("%d have not ended, %d of them with their files in another store", open, len(elsewhere))
		f.Remedy = "workers with this store take no item of " + some(elsewhere) + ": give the --store of those runs"
	}
	return f
}
