package broker_test

import (
	"log/slog"
	"testing"
	"time"

	"itool/broker"
	"itool/broker/brokertest"
	"itool/broker/embed"
)

// TestSocket runs the suite over TCP, where connections survive a restart of the server.
func TestSocket(t *testing.T) {
	t.Parallel()
	brokertest.Run(t, func(t *testing.T) brokertest.Server {
		config := embed.Config{Dir: t.TempDir(), Port: freePort(t), Token: "secret"}
		s := start(t, config)
		return brokertest.Server{
			Connect: func(t *testing.T) *broker.Broker {
				return connect(t, broker.Config{URL: s.URL(), Token: "secret", Name: t.Name()})
			},
			Restart: func(t *testing.T) {
				s.Shutdown()
				s = start(t, config)
			},
		}
	})
}

// TestInProcess runs the suite without a socket.
func TestInProcess(t *testing.T) {
	t.Parallel()
	brokertest.Run(t, func(t *testing.T) brokertest.Server {
		s := start(t, embed.Config{Dir: t.TempDir(), InProcessOnly: true})
		return brokertest.Server{Connect: func(t *testing.T) *broker.Broker {
			return connect(t, broker.Config{InProcess: s})
		}}
	})
}

func start(t testing.TB, c embed.Config) *embed.Server {
	t.Helper()
	s, err := embed.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Shutdown)
	return s
}

func connect(t testing.TB, c broker.Config) *broker.Broker {
	t.Helper()
	c.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	if c.Timeout == 0 { // a busy disk may take longer than 5 s; then a second try finds what the first has stored
		c.Timeout = 20 * time.Second
	}
	b, err := broker.Connect(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}
