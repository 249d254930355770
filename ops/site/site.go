// Package site opens the place where runs live: a broker and a store.
//
// They are anywhere on the network (Open), or both in one folder that this process
// serves (OpenFolder):
//
//	s, err := site.OpenFolder(ctx, "itool-runs/demo", site.AnyPort, log)
//	defer s.Close()
//	r, err := report.Gather(ctx, s.Courier, "demo")
//
// A folder has one server at a time. Its lock is in the folder, and so is the address
// that other processes connect to. The package does not know what a run is.
package site

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"itool/broker"
	"itool/broker/embed"
	"itool/ops/courier"
	"itool/storage"
)

// Site is an open broker with its store. Close it.
type Site struct {
	*courier.Courier
	stop   context.CancelFunc // ends the answers about the server; nil without a server
	Dir    string             // of a folder that this process serves, absolute; else ""
	server *embed.Server      // nil when another process runs the broker
}

// URL is the address of the broker that this process serves, without its token; else "".
func (s *Site) URL() string {
	if s.server == nil {
		return ""
	}
	return s.server.URL()
}

// Close disconnects, and stops the broker if this process serves it. Runs stay on disk.
func (s *Site) Close() {
	if s.stop != nil {
		s.stop()
	}
	s.Broker.Close()
	if s.server != nil {
		os.Remove(addressFile(s.Dir))
		s.server.Shutdown()
	}
}

// UsageError says that an address cannot be read: the user must write another one.
type UsageError struct{ text string }

func (e *UsageError) Error() string { return e.text }

func usage(format string, args ...any) error { return &UsageError{fmt.Sprintf(format, args...)} }

// The ports of a folder's broker besides 1..65535.
const (
	NoPort  = 0  // only this process reaches it: for a look that must not disturb
	AnyPort = -1 // a free one, so that others can watch a run
)

// ownPatience limits one exchange with the broker in this process. Where it is slow, this machine is: to give up
// would end a run that only has to wait.
const ownPatience = 30 * time.Second

// HasRuns tells whether dir is a folder that OpenFolder has made. A folder that only has one named broker, such as
// this project's source, is none: nothing may be written there.
func HasRuns(dir string) bool { return exists(filepath.Join(dir, "broker", "jetstream")) }

// Option changes how OpenFolder serves a folder.
type Option func(*options)

type options struct {
	noToken bool
	store   StoreLogin
}

// WithStoreLogin says how to log in at the store of the folder, if that is elsewhere.
func WithStoreLogin(l StoreLogin) Option { return func(o *options) { o.store = l } }

// WithoutToken lets everybody on this machine reach the broker.
func WithoutToken(o *options) { o.noToken = true }

// OpenFolder opens broker and store in dir, and makes dir if it is missing. With NoPort,
// it connects to the process that serves the folder, if there is one; with a port, a
// folder that is served already is an error (fs.ErrExist), and the broker wants the token that the folder
// keeps. Only the owner of the folder can read what is made in it.
func OpenFolder(ctx context.Context, dir string, port int, log *slog.Logger, opts ...Option) (*Site, error) {
	var o options
	for _, opt := range opts {
		opt(&o)
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if err := makePrivate(dir); err != nil {
		return nil, err
	}
	spec, err := FolderStore(dir)
	if err != nil {
		return nil, err
	}
	store, err := CreateStore(ctx, spec, o.store)
	if err != nil {
		return nil, err
	}
	cfg := embed.Config{Dir: filepath.Join(dir, "broker"), Port: port, InProcessOnly: port == NoPort, Log: log}
	if cfg.Token, err = o.token(dir, port); err != nil {
		return nil, err
	}
	server, err := embed.Start(cfg)
	if errors.Is(err, fs.ErrExist) && port == NoPort {
		return joinFolder(ctx, dir, store, log, err)
	}
	if err != nil {
		return nil, err
	}
	s := &Site{server: server, Dir: dir}
	if port != NoPort {
		if err := writePrivate(addressFile(dir), withToken(server.URL(), cfg.Token), os.Rename); err != nil {
			server.Shutdown()
			return nil, err
		}
	}
	b, err := broker.Connect(ctx, broker.Config{
		InProcess: server, Token: cfg.Token, Timeout: ownPatience, Name: "itool", Log: log,
	})
	if err != nil {
		server.Shutdown()
		return nil, err
	}
	s.Courier = &courier.Courier{Broker: b, Store: store}
	answering, stop := context.WithCancel(context.WithoutCancel(ctx))
	s.stop = stop
	if err := s.AnswerWaiting(answering, s.troubles); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// troubles is what all runs wait for while the server cannot write.
func (s *Site) troubles() []courier.Waiting {
	if why := s.server.Trouble(); why != "" {
		return []courier.Waiting{{What: why, Worker: "broker"}}
	}
	return nil
}

// joinFolder connects to the process that serves the folder. locked is the error to
// return when that process has not written down its address.
func joinFolder(ctx context.Context, dir string, s storage.Store, log *slog.Logger, locked error) (*Site, error) {
	address, err := os.ReadFile(addressFile(dir))
	if err != nil {
		return nil, locked
	}
	b, err := Connect(ctx, Connection{Broker: string(address)}, log)
	if err != nil {
		return nil, err
	}
	return &Site{Courier: &courier.Courier{Broker: b, Store: s}}, nil
}

// addressFile holds the address of the process that serves a folder, while it does.
func addressFile(dir string) string { return filepath.Join(dir, "address") }

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// Runs are the runs whose records a folder that OpenFolder has made holds, by name. Nothing is started.
func Runs(dir string) []string { return broker.RunsIn(filepath.Join(dir, "broker")) }
