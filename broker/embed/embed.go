// Package embed runs the broker's server inside this process: for a laptop, for one
// machine, and for tests. It knows nothing of runs and records.
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
	"syscall"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// MaxPayloadBytes bounds one message; larger bodies go to storage.
const MaxPayloadBytes = 8 << 20

// Config says where the data lies and who may connect.
type Config struct {
	Dir           string // the data folder, made if need be; one server at a time
	Host          string // default 127.0.0.1
	Port          int    // 0: 4222; −1: any free one
	InProcessOnly bool   // no socket at all; Host and Port are not read
	Token         string // what clients must know; set it when Host is not this machine alone

	MaxStoreBytes int64        // bound of all streams; default three quarters of the free disk
	Log           *slog.Logger // what the server says; default: nowhere
}

// Server is a running server; broker.Config.InProcess takes it.
type Server struct {
	s    *server.Server
	lock *lock
	url  string
}

// Start returns when clients can connect and all streams are recovered.
func Start(c Config) (*Server, error) {
	c, err := withDefaults(c)
	if err != nil {
		return nil, err
	}
	l, err := lockDir(c.Dir)
	if err != nil {
		return nil, err
	}
	s, err := start(c)
	if err != nil {
		l.release()
		return nil, err
	}
	s.lock = l
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
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.InProcessOnly {
		return c, nil
	}
	return c, checkPortFree(c.Host, c.Port)
}

// checkPortFree tells in our messages what the server would only log. A listener that was just
// closed may live on for a moment in a child process that is being started.
func checkPortFree(host string, port int) error {
	addr := net.JoinHostPort(host, strconv.Itoa(max(port, 0)))
	l, err := net.Listen("tcp", addr)
	for tries := 0; errors.Is(err, syscall.EADDRINUSE) && tries < 5; tries++ {
		time.Sleep(40 * time.Millisecond)
		l, err = net.Listen("tcp", addr)
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		return fmt.Errorf("embed: port %d on %s is in use: stop what listens there (perhaps another itool), or choose another port; -1 takes any free one", port, host)
	}
	if err != nil {
		return fmt.Errorf("embed: %w", err)
	}
	return l.Close()
}

func start(c Config) (*Server, error) {
	s, err := server.NewServer(&server.Options{
		ServerName:    "itool",
		Host:          c.Host,
		Port:          c.Port,
		DontListen:    c.InProcessOnly,
		Authorization: c.Token,
		MaxPayload:    MaxPayloadBytes,
		JetStream:     true,
		StoreDir:      c.Dir, // it makes a folder jetstream there
		// The default writes to disk every two minutes: too late for a single server.
		SyncAlways:        true,
		JetStreamMaxStore: c.MaxStoreBytes,
		NoSigs:            true, // signals are the program's own
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
	e := &Server{s: s}
	if !c.InProcessOnly {
		e.url = s.ClientURL()
	}
	return e, nil
}

// startAndWait starts the server; its way to report a failure is a fatal line in its log.
func startAndWait(s *server.Server, fatal <-chan string) error {
	s.Start() // recovers the streams, then listens, or complains; a second per million records
	select {
	case text := <-fatal:
		return errors.New(text)
	default:
	}
	if !s.ReadyForConnections(10 * time.Second) {
		return errors.New("it does not listen")
	}
	if !s.JetStreamEnabled() {
		return errors.New("it cannot use its data folder: see its log")
	}
	return nil
}

// URL is where clients connect; empty without a socket.
func (s *Server) URL() string { return s.url }

// InProcessConn is for broker.Connect.
func (s *Server) InProcessConn() (net.Conn, error) { return s.s.InProcessConn() }

// Shutdown ends the server and returns when its files are closed. Clients see a lost
// connection. It may be called twice.
func (s *Server) Shutdown() {
	s.s.Shutdown()
	s.s.WaitForShutdown()
	s.lock.release()
}

// lockDir keeps a second server away: two on one folder would corrupt it.
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
		return nil, fmt.Errorf("embed: data folder %s is in use by process %s: stop that one, or give another folder: %w", dir, holder[:n], fs.ErrExist)
	}
	// The number is for people; what counts is the lock, which ends with the process.
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())), 0)
	}
	return &lock{f: f}, nil
}
