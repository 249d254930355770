package broker_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	"itool/broker"
	"itool/broker/embed"
)

// TestConnectErrors: every failed connection returns soon, with an error that says what
// to do and shows no password.
func TestConnectErrors(t *testing.T) {
	t.Parallel()
	up := start(t, embed.Config{Dir: t.TempDir(), Port: -1, Token: "secret"}).URL()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts connections but sends nothing
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { silent.Close() })
	file := filepath.Join(t.TempDir(), "empty")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name   string
		config broker.Config
		want   string
	}{
		{"no address", broker.Config{}, "URL"},
		{"not an address", broker.Config{URL: "nats://u:hunter2@[::1"}, "want nats://host:4222"},
		{"no server", broker.Config{URL: "nats://u:hunter2@127.0.0.1:1"}, "is the server up"},
		{"silent server", broker.Config{
			URL: "nats://" + silent.Addr().String(), Timeout: 200 * time.Millisecond,
		}, "timeout"},
		{"wrong token", broker.Config{URL: up, Token: "hunter2"}, "Authorization"},
		{"no token", broker.Config{URL: up}, "Authorization"},
		{"missing credentials", broker.Config{URL: up, Creds: file + "-not"}, "no such file"},
		{"missing authority", broker.Config{URL: up, CA: file + "-not"}, "no such file"},
		{"empty nkey", broker.Config{URL: up, NKeySeed: file}, "nkey seed"},
		{"two identities", broker.Config{URL: up, Token: "a", Creds: file}, "only one of"},
		{"certificate without key", broker.Config{URL: up, Token: "secret", Cert: file}, "needs its key"},
		{"bad inbox", broker.Config{URL: up, Token: "secret", InboxToken: "a.b"}, "inbox"},
	} {
		t.Run(c.name, func(t *testing.T) {
			began := time.Now()
			b, err := broker.Connect(t.Context(), c.config)
			if err == nil {
				b.Close()
				t.Fatal("connected")
			}
			if !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %q, want %q in it and no password", err, c.want)
			}
			if took := time.Since(began); took > 20*time.Second {
				t.Errorf("Connect took %v, want less than 20s", took)
			}
		})
	}
	done, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := broker.Connect(done, broker.Config{URL: up}); !errors.Is(err, context.Canceled) {
		t.Errorf("done context: %v", err)
	}
}

// TestDenied: the server reports a denied publish asynchronously, and the call times out.
// The caller's error and the log must name the denied permission all the same.
func TestDenied(t *testing.T) {
	t.Parallel()
	permissions := &server.Permissions{
		Publish:   &server.SubjectPermission{Allow: []string{"itool.run.r.result.>", "$JS.API.DIRECT.GET.RUN_r.>"}},
		Subscribe: &server.SubjectPermission{Allow: []string{"_INBOX_few.>"}},
	}
	s := startBareServer(t, func(o *server.Options) {
		o.Users = []*server.User{
			{Username: "all", Password: "p"},
			{Username: "few", Password: "p", Permissions: permissions},
		}
	})
	ctx := t.Context()
	all := connect(t, broker.Config{URL: "nats://all:p@" + s.Addr().String()})
	if err := all.CreateRun(ctx, "r", 0); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	few, err := broker.Connect(ctx, broker.Config{
		URL: "nats://few:p@" + s.Addr().String(), InboxToken: "few", Timeout: time.Second,
		Log: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	allowed := broker.Address{Run: "r", Record: "result", Key: "k"}
	if _, err := few.Publish(ctx, allowed, nil, nil); err != nil { // a second try of a slow one stores nothing more
		t.Errorf("an allowed publish: %v", err)
	}
	if _, err := few.Get(ctx, allowed); err != nil {
		t.Errorf("get: %v", err)
	}
	denied := broker.Address{Run: "r", Record: "task", Key: "k"}
	_, err = few.Publish(ctx, denied, nil, nil)
	if !errors.Is(err, broker.ErrDenied) || !strings.Contains(err.Error(), denied.String()) {
		t.Errorf("a denied publish: %v, want ErrDenied with the subject", err)
	}
	few.Close() // its log is complete now
	if !strings.Contains(log.String(), "Permissions Violation") || strings.Contains(log.String(), ":p@") {
		t.Errorf("log: %s", log.String())
	}
}

// TestNoJetStream: with a NATS server without JetStream, the errors say what is missing.
func TestNoJetStream(t *testing.T) {
	t.Parallel()
	s := startBareServer(t, func(o *server.Options) { o.JetStream = false })
	b := connect(t, broker.Config{URL: s.ClientURL(), Timeout: time.Second})
	err := b.CreateRun(t.Context(), "r", 0)
	if err == nil || !strings.Contains(err.Error(), "JetStream") {
		t.Errorf("create run: %v", err)
	}
	_, err = b.Publish(t.Context(), broker.Address{Run: "r", Record: "task", Key: "k"}, nil, nil)
	if !errors.Is(err, broker.ErrUnavailable) || !strings.Contains(err.Error(), "JetStream") {
		t.Errorf("publish: %v, want ErrUnavailable naming JetStream, not ErrNoRun", err)
	}
}

// TestQuotaBeyondDisk: a quota beyond the server's storage limit is refused at once.
func TestQuotaBeyondDisk(t *testing.T) {
	t.Parallel()
	s := start(t, embed.Config{Dir: t.TempDir(), InProcessOnly: true, MaxStoreBytes: 1 << 20})
	b := connect(t, broker.Config{InProcess: s})
	if err := b.CreateRun(t.Context(), "r", 2<<20); !errors.Is(err, broker.ErrFull) {
		t.Errorf("create run: %v, want full", err)
	}
	if err := b.CreateRun(t.Context(), "r", 1<<19); err != nil {
		t.Error(err)
	}
}

// TestForeignSubjects: a message with an invalid subject that a foreign client puts into a
// run's stream hides no records, and no worker gets it as an item.
func TestForeignSubjects(t *testing.T) {
	t.Parallel()
	s := startBareServer(t, func(*server.Options) {})
	b, ctx := connect(t, broker.Config{URL: s.ClientURL()}), t.Context()
	if err := b.CreateRun(ctx, "r", 0); err != nil {
		t.Fatal(err)
	}
	nc, err := nats.Connect(s.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	for _, rest := range []string{
		"task.x.k", "task.00.k", "task.-2.k", "ta/sk.0.k", "task.99999999999999999999.k",
		"task.0." + strings.Repeat("k", 200),
	} {
		if _, err := nc.Request("itool.run.r."+rest, []byte("junk"), 5*time.Second); err != nil {
			t.Fatal(err)
		}
	}
	good := broker.Address{Run: "r", Record: "task", Key: "k"}
	if _, err := b.Publish(ctx, good, nil, nil); err != nil {
		t.Fatal(err)
	}
	for m, err := range b.List(ctx, "r", "*.*.*") {
		if err != nil || m.Address != good {
			t.Errorf("list: %v, %v", m.Address, err)
		}
	}
	p, err := b.Pull(ctx, "r", "work", []string{"*.*.*"}, broker.PullOptions{})
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, "item with a valid subject", func() bool {
		d, err := p.Next(ctx)
		if err == nil && d.Address == good && d.Ack(ctx) == nil {
			return true
		}
		if !errors.Is(err, broker.ErrEmpty) {
			t.Fatal(err)
		}
		return false
	})
	waitFor(t, "empty queue", func() bool {
		waiting, inWork, err := b.Depth(ctx, "r", "work")
		return err == nil && waiting+inWork == 0
	})
}

// TestClosed: after Close, calls return an error that says so, and listeners end.
func TestClosed(t *testing.T) {
	t.Parallel()
	s := start(t, embed.Config{Dir: t.TempDir(), InProcessOnly: true})
	b := connect(t, broker.Config{InProcess: s})
	hints, err := b.Listen(t.Context(), broker.Hint, "*")
	if err != nil {
		t.Fatal(err)
	}
	b.Close()
	select {
	case _, open := <-hints:
		if open {
			t.Error("got a hint after Close")
		}
	case <-time.After(5 * time.Second):
		t.Error("the channel stays open")
	}
	err = b.CreateRun(t.Context(), "r", 0)
	if err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("create run: %v", err)
	}
}

// startBareServer starts a server without package embed, as an operator would, with other
// settings.
func startBareServer(t *testing.T, change func(*server.Options)) *server.Server {
	t.Helper()
	o := &server.Options{
		ServerName: "bare", Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(),
		NoSigs: true, NoLog: true,
	}
	change(o)
	s, err := server.NewServer(o)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
	if !s.ReadyForConnections(10 * time.Second) {
		t.Fatal("the server does not come up")
	}
	return s
}
