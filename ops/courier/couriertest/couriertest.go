// Package couriertest gives tests a courier over a real broker and a real store, both in
// this process and in temporary folders. They start in milliseconds and end with the test.
//
//	c := couriertest.Open(t)
//	err := c.Broker.CreateRun(t.Context(), "r1", 1<<30)
//
// A test that needs several connections, like one that kills workers, calls Start once and
// Connect for each.
package couriertest

import (
	"testing"

	"itool/broker"
	"itool/broker/embed"
	"itool/ops/courier"
	"itool/storage"
	"itool/storage/disk"
)

// Site is a running broker and the folder of a store.
type Site struct {
	server *embed.Server
	store  string
}

// Start starts a broker. It may keep maxStoreBytes, all runs together; 0: the default of embed.Config.
func Start(t testing.TB, maxStoreBytes int64) *Site {
	t.Helper()
	server, err := embed.Start(embed.Config{Dir: t.TempDir(), InProcessOnly: true, MaxStoreBytes: maxStoreBytes})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Shutdown)
	return &Site{server, t.TempDir()}
}

// Connect returns a courier with its own connection to the broker. All couriers of a site
// share its store.
func (s *Site) Connect(t testing.TB) *courier.Courier {
	t.Helper()
	b, err := broker.Connect(t.Context(), broker.Config{InProcess: s.server})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	store, err := disk.Open(s.store)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := storage.Identify(t.Context(), store, "couriertest"); err != nil {
		t.Fatal(err)
	}
	return &courier.Courier{Broker: b, Store: store}
}

// Open starts a broker and connects to it.
func Open(t testing.TB) *courier.Courier {
	t.Helper()
	return Start(t, 0).Connect(t)
}
