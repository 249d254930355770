// Package embed runs the broker's server, NATS with JetStream, inside this process: for a
// laptop, for a single machine, and for tests. It does not know runs and records.
//
// The server stops writing for good when its disk was full once. So Start also starts a watch, which runs
// the server again, on the same port, as soon as there is room: see watch.go.
//
//	s, err := embed.Start(embed.Config{Dir: dir, Port: 4222})
//	defer s.Shutdown()
//	b, err := broker.Connect(ctx, broker.Config{InProcess: s}) // others: URL: s.URL()
package embed

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// MaxPayloadBytes limits the size of one message. Larger bodies go to storage.
const MaxPayloadBytes = 8 << 20

// Config says where the data lies and who may connect.
type Config struct {
	Dir           string // the data folder; created if it does not exist; one server at a time
	Host          string // default 127.0.0.1
	Port          int    // 0: 4222; −1: any free port
	InProcessOnly bool   // no socket at all; Host and Port are ignored
	Token         string // the secret that clients must know; set it if other machines can reach Host

	// MaxStoreBytes limits all streams together; default three quarters of what is free or theirs on the disk.
	// If they have set aside as much or more already, it is that and a little: see atLeastReserved.
	MaxStoreBytes int64

	Log   *slog.Logger  // the server's log messages; default: no log
	Watch time.Duration // how often the watch looks whether the server can write; default 1 s
}

// Server is a running server; broker.Config.InProcess takes it.
type Server struct {
	config Config // as the running server has it: with its port and its limit
	lock   *lock
	url    string
	stop   func() // ends the watch, and waits for it

	mu      sync.Mutex
	s       *server.Server // another one after a restart
	trouble string         // why it cannot write; "": it can
}

// Start starts a server. It returns when clients can connect and all streams are
// recovered. It fails if the port or the data folder is in use.
func Start(c Config) (*Server, error) {
	c, err := withDefaults(c)
	if err != nil {
		return nil, err
	}
	l, err := lockDir(c.Dir)
	if err != nil {
		return nil, err
	}
	running, err := atLeastReserved(c)
	if err != nil {
		l.release()
		return nil, err
	}
	s := &Server{config: c, lock: l, s: running}
	if !c.InProcessOnly {
		s.url = running.ClientURL()
		if addr, ok := running.Addr().(*net.TCPAddr); ok {
			s.config.Port = addr.Port
		}
	}
	s.config.MaxStoreBytes = running.JetStreamConfig().MaxStore // not less when the disk is fuller
	s.startWatch()
	return s, nil
}

func withDefaults(c Config) (Config, error) {
	if c.Dir == "" {
		return c, errors.New("embed: no data folder given")
	}
	if err := os.MkdirAll(c.Dir, 0o700); err != nil {
		return c, fmt.Errorf("embed: data folder: %w", err)
	}
	if c.Host == "" {
		c.Host = "127.0.0.1"
	}
	if c.Port == 0 {
		c.Port = 4222
	}
	if c.Port < -1 || c.Port > 65535 {
		return c, fmt.Errorf("embed: port %d: want 1 to 65535, or -1 for any", c.Port)
	}
	if c.Watch <= 0 {
		c.Watch = time.Second
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.InProcessOnly {
		return c, nil
	}
	return c, checkPortFree(c.Host, c.Port)
}

// checkPortFree returns an error for a port in use, which the server would only log. It
// tries several times: a socket that was just closed may stay open for a moment in a child
// process that is being started.
func checkPortFree(host string, port int) error {
	addr := net.JoinHostPort(host, strconv.Itoa(max(port, 0)))
	l, err := net.Listen("tcp", addr)
	for tries := 0; errors.Is(err, syscall.EADDRINUSE) && tries < 5; tries++ {
		time.Sleep(40 * time.Millisecond)
		l, err = net.Listen("tcp", addr)
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("embed: port %d on %s is in use: stop the program that uses it (perhaps another itool),"+
			" or choose another port; -1 takes any free one", port, host)
	}
	if err != nil {
		return fmt.Errorf("embed: %w", err)
	}
	return l.Close()
}

func start(c Config) (*server.Server, error) {
	s, err := server.NewServer(&server.Options{
		ServerName:    "itool",
		Host:          c.Host,
		Port:          c.Port,
		DontListen:    c.InProcessOnly,
		Authorization: c.Token,
		MaxPayload:    MaxPayloadBytes,
		JetStream:     true,
		StoreDir:      c.Dir, // the server creates a folder "jetstream" in it
		// By default the server syncs to disk every two minutes only: too rarely without replicas.
		SyncAlways:        true,
		JetStreamMaxStore: c.MaxStoreBytes,
		NoSigs:            true, // the program handles signals itself
	})
	if err != nil {
		return nil, fmt.Errorf("embed: %w", err)
	}
	messages := &serverLog{log: c.Log, fatal: make(chan string, 1)}
	s.SetLoggerV2(messages, false, false, false)
	if err := startAndWait(s, messages.fatal); err != nil {
		s.Shutdown()
		s.WaitForShutdown()
		return nil, fmt.Errorf("embed: the server did not come up on %s: %w", c.Dir, err)
	}
	return s, nil
}

// smallStreams is room for what itool keeps beside the runs: their starts, states and leases.
const smallStreams = 64 << 20

// atLeastReserved starts a server whose limit is above what its streams have set aside. Streams set their quota
// aside, used or not, and when nothing is left below the limit, the server refuses every new stream, however small.
// The limit follows the free disk: so runs that began when the disk was emptier could not go on, with room for all
// that they write.
func atLeastReserved(c Config) (*server.Server, error) {
	s, err := start(c)
	if err != nil {
		return nil, err
	}
	_, reserved, err := s.JetStreamReservedResources()
	if err == nil && s.JetStreamConfig().MaxStore > reserved {
		return s, nil
	}
	shutdown(s)
	if err != nil {
		return nil, fmt.Errorf("embed: %w", err)
	}
	c.MaxStoreBytes = reserved + smallStreams
	return start(c)
}

// startAndWait starts the server and waits until clients can connect. The server reports
// a failure as a fatal message in its log only.
func startAndWait(s *server.Server, fatal <-chan string) error {
	s.Start() // recovers the streams (a second per million records), then listens, or logs a fatal message
	select {
	case text := <-fatal:
		return errors.New(text)
	default:
	}
	if !s.ReadyForConnections(10 * time.Second) {
		return errors.New("it accepts no connections")
	}
	if !s.JetStreamEnabled() {
		return errors.New("it cannot use its data folder: see its log")
	}
	return nil
}

// URL is the address for clients; empty if the server has no socket.
func (s *Server) URL() string { return s.url }

// InProcessConn opens a connection without a socket; broker.Connect calls it.
func (s *Server) InProcessConn() (net.Conn, error) { return s.running().InProcessConn() }

// running is the server that runs now.
func (s *Server) running() *server.Server {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.s
}

// Shutdown stops the server and returns when its files are closed. Clients lose their
// connection. It may be called more than once.
func (s *Server) Shutdown() {
	s.stop()
	shutdown(s.running())
	s.lock.release()
}

func shutdown(s *server.Server) {
	s.Shutdown()
	s.WaitForShutdown()
}

// lockDir locks the data folder: two servers on one folder would corrupt it.
func lockDir(dir string) (*lock, error) {
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("embed: data folder: %w", err)
	}
	if err := lockFile(f); err != nil {
		holder := make([]byte, 16)
		n, _ := f.ReadAt(holder, 0)
		f.Close()
		if !errors.Is(err, errLocked) {
			return nil, fmt.Errorf("embed: lock %s: %w", path, err)
		}
		return nil, inUseError{dir, string(holder[:n])}
	}
	// The process number is only for the error above. The lock itself ends with the process.
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0)
	}
	return &lock{f: f}, nil
}

// inUseError is a data folder that another process has. It is fs.ErrExist.
type inUseError struct{ dir, process string }

func (e inUseError) Error() string {
	return fmt.Sprintf("embed: data folder %s is in use by process %s: stop it, or give another folder",
		e.dir, e.process)
}

func (e inUseError) Unwrap() error { return fs.ErrExist }
