package embed_test

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"itool/broker"
	"itool/broker/embed"
)

func start(t *testing.T, c embed.Config) *embed.Server {
	t.Helper()
	s, err := embed.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	return s
}

// wantErr starts a server that must fail soon, with an error that contains all words.
func wantErr(t *testing.T, c embed.Config, words ...string) {
	t.Helper()
	began := time.Now()
	s, err := embed.Start(c)
	if err == nil {
		s.Shutdown()
		t.Fatalf("started, want an error with %q", words)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("got %q, want %q in it", err, w)
		}
	}
	if took := time.Since(began); took > 30*time.Second {
		t.Errorf("the failed start took %v, want less than 30s", took)
	}
}

func TestPortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	dir := t.TempDir()
	taken := embed.Config{Dir: dir, Port: l.Addr().(*net.TCPAddr).Port}
	wantErr(t, taken, "port "+port, "in use", "choose another port")
	start(t, embed.Config{Dir: dir, Port: -1}) // the failed start left no lock
}

func TestFolderInUse(t *testing.T) {
	dir := t.TempDir()
	s := start(t, embed.Config{Dir: dir, InProcessOnly: true})
	wantErr(t, embed.Config{Dir: dir, InProcessOnly: true}, dir, "in use", "another folder")
	s.Shutdown()
	s.Shutdown()
	start(t, embed.Config{Dir: dir, InProcessOnly: true})
}

func TestBadConfig(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		config embed.Config
		want   string
	}{
		{"no folder", embed.Config{}, "no data folder"},
		{"a file for a folder", embed.Config{Dir: file}, "data folder"},
		{"port too low", embed.Config{Dir: t.TempDir(), Port: -2}, "port -2"},
		{"port too high", embed.Config{Dir: t.TempDir(), Port: 65536}, "port 65536"},
		{"not our address", embed.Config{Dir: t.TempDir(), Host: "192.0.2.1", Port: -1}, "192.0.2.1"},
	} {
		t.Run(c.name, func(t *testing.T) { wantErr(t, c.config, c.want) })
	}
}

// TestDamagedStream: a stream that a crash damaged must not block the start, and the
// other streams must be readable.
func TestDamagedStream(t *testing.T) {
	dir := t.TempDir()
	s := start(t, embed.Config{Dir: dir, InProcessOnly: true})
	b := connect(t, s)
	for _, run := range []string{"r1", "r2"} {
		if err := b.CreateRun(t.Context(), run, 0); err != nil {
			t.Fatal(err)
		}
		at := broker.Address{Run: run, Record: "task", Key: "k"}
		if _, err := b.Publish(t.Context(), at, nil, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	s.Shutdown()
	metas, err := filepath.Glob(filepath.Join(dir, "jetstream", "*", "streams", "RUN_r1", "meta.inf"))
	if err != nil || len(metas) != 1 {
		t.Fatalf("found %v, %v", metas, err)
	}
	if err := os.WriteFile(metas[0], []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	s = start(t, embed.Config{Dir: dir, InProcessOnly: true, Log: slog.New(slog.NewTextHandler(&log, nil))})
	other := broker.Address{Run: "r2", Record: "task", Key: "k"}
	if ok, err := connect(t, s).Has(t.Context(), other); !ok || err != nil {
		t.Errorf("the record of the other run: %v, %v, want it to exist", ok, err)
	}
	s.Shutdown()
	if !strings.Contains(log.String(), "RUN_r1") {
		t.Errorf("the log does not name the damaged stream: %s", log.String())
	}
}

// TestLessRoomThanReserved: a run that set aside more than the disk has free today goes on, with room for what
// is kept beside it. What it set aside is no room for other runs.
func TestLessRoomThanReserved(t *testing.T) {
	dir := t.TempDir()
	s := start(t, embed.Config{Dir: dir, InProcessOnly: true, MaxStoreBytes: 5 << 30})
	if err := connect(t, s).CreateRun(t.Context(), "old", 4<<30); err != nil {
		t.Fatal(err)
	}
	s.Shutdown()
	s = start(t, embed.Config{Dir: dir, InProcessOnly: true, MaxStoreBytes: 3 << 30}) // on a fuller disk
	b := connect(t, s)
	if err := b.SetState(t.Context(), "old", []byte("going on")); err != nil {
		t.Errorf("its state, the first message of a new stream: %v", err)
	}
	at := broker.Address{Run: "old", Record: "task", Key: "k"}
	if _, err := b.Publish(t.Context(), at, nil, []byte("x")); err != nil {
		t.Errorf("its next record: %v", err)
	}
	if err := b.CreateRun(t.Context(), "small", 16<<20); err != nil {
		t.Errorf("a small run: %v", err)
	}
	if err := b.CreateRun(t.Context(), "large", 1<<30); !errors.Is(err, broker.ErrFull) {
		t.Errorf("a run of 1 GiB: got %v, want %v", err, broker.ErrFull)
	}
}

func TestAddress(t *testing.T) {
	s := start(t, embed.Config{Dir: t.TempDir(), Port: -1})
	if !strings.HasPrefix(s.URL(), "nats://127.0.0.1:") {
		t.Errorf("URL %q", s.URL())
	}
	b, err := broker.Connect(t.Context(), broker.Config{URL: s.URL()})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if b.MaxMessageBytes() != embed.MaxPayloadBytes {
		t.Errorf("largest message: %d bytes, want %d", b.MaxMessageBytes(), embed.MaxPayloadBytes)
	}
	inProcess := start(t, embed.Config{Dir: t.TempDir(), InProcessOnly: true})
	if inProcess.URL() != "" {
		t.Errorf("URL without a socket: %q, want none", inProcess.URL())
	}
	connect(t, inProcess)
}

func connect(t *testing.T, s *embed.Server) *broker.Broker {
	t.Helper()
	b, err := broker.Connect(t.Context(), broker.Config{InProcess: s})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// TestStreamsComeAndGo: a server that makes and removes streams is not taken for one that cannot write, and is not
// started again under its clients.
func TestStreamsComeAndGo(t *testing.T) {
	var log bytes.Buffer
	defer func() {
		if t.Failed() {
			t.Log(log.String())
		}
	}()
	s := start(t, embed.Config{
		Dir: t.TempDir(), Port: -1, Watch: 100 * time.Microsecond, Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	b, err := broker.Connect(t.Context(), broker.Config{InProcess: s})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	// One stays: removing the last one, the server removes the folder in which the next one is made.
	if err := b.CreateRun(t.Context(), "stays", 0); err != nil {
		t.Fatal(err)
	}
	for i := range 100 {
		run := fmt.Sprint("r", i)
		if err := b.CreateRun(t.Context(), run, 0); err != nil {
			t.Fatal(err)
		}
		if err := b.DeleteRun(t.Context(), run); err != nil {
			t.Fatal(err)
		}
	}
	s.Shutdown()
	if strings.Contains(log.String(), "it can write now") {
		t.Errorf("the server was started again:\n%s", log.String())
	}
}

// TestASlowStream: on a busy machine it takes seconds until a stream is there whose folder is there. The server is
// not started again under its clients because of that.
func TestASlowStream(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for two seconds")
	}
	var log bytes.Buffer
	dir := t.TempDir()
	s := start(t, embed.Config{
		Dir: dir, InProcessOnly: true, Watch: 10 * time.Millisecond, Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	b, err := broker.Connect(t.Context(), broker.Config{InProcess: s})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if err := b.CreateRun(t.Context(), "stays", 0); err != nil {
		t.Fatal(err)
	}
	streams, err := filepath.Glob(filepath.Join(dir, "jetstream", "*", "streams"))
	if err != nil || len(streams) != 1 {
		t.Fatalf("%q, %v", streams, err)
	}
	half := filepath.Join(streams[0], "RUN_slow")
	if err := os.Mkdir(half, 0o700); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Second)
	if err := os.Remove(half); err != nil {
		t.Fatal(err)
	}
	s.Shutdown()
	if log.Len() > 0 {
		t.Errorf("the server takes it for trouble:\n%s", log.String())
	}
}
