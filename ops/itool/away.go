package main

import (
	"context"
	"errors"
	"io"
	"iter"
	"net"

	"itool/ops/courier"
	"itool/ops/site"
	"itool/storage"
)

// openToLook is open for who looks at the broker above all: where the store's server does not answer, its Store is
// one that says so, and waits is what to tell.
func (t target) openToLook(ctx context.Context, a *app) (s *site.Site, waits []courier.Waiting, err error) {
	s, err = t.open(ctx, a, "")
	var network net.Error
	if err == nil || !errors.As(err, &network) {
		return s, nil, err
	}
	conn, connErr := t.site()
	if connErr != nil || conn.Broker == "" {
		return nil, nil, err
	}
	conn.Timeout = patience
	b, connErr := site.Connect(ctx, conn, a.log)
	if connErr != nil {
		return nil, nil, errors.Join(err, connErr)
	}
	waits = []courier.Waiting{{What: "store: " + err.Error(), Worker: "itool"}}
	return &site.Site{Courier: &courier.Courier{Broker: b, Store: away{err}}}, waits, nil
}

// away is a store that cannot be reached now.
type away struct{ err error }

var _ storage.Store = away{}

func (a away) Put(context.Context, string, io.Reader, int64) (storage.Info, error) {
	return storage.Info{}, a.err
}

func (a away) PutIfAbsent(context.Context, string, io.Reader, int64) (storage.Info, error) {
	return storage.Info{}, a.err
}

func (a away) Get(context.Context, string) (io.ReadCloser, storage.Info, error) {
	return nil, storage.Info{}, a.err
}

func (a away) Stat(context.Context, string) (storage.Info, error) { return storage.Info{}, a.err }

func (a away) List(context.Context, string) iter.Seq2[storage.Info, error] {
	return func(yield func(storage.Info, error) bool) { yield(storage.Info{}, a.err) }
}

func (a away) Delete(context.Context, string) error { return a.err }
