package broker_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"itool/broker"
	"itool/broker/embed"
)

// All who answer are heard, and a question that has no answers is no error.
func TestAsk(t *testing.T) {
	s, err := embed.Start(embed.Config{Dir: t.TempDir(), InProcessOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Shutdown()
	connect := func() *broker.Broker {
		b, err := broker.Connect(t.Context(), broker.Config{InProcess: s})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(b.Close)
		return b
	}
	ask := func(b *broker.Broker, want ...string) {
		t.Helper()
		var got []string
		for range 60 { // a busy machine may answer late
			answers, err := b.Ask(t.Context(), "how", 500*time.Millisecond)
			if err != nil {
				t.Fatal(err)
			}
			got = nil
			for _, a := range answers {
				got = append(got, string(a))
			}
			slices.Sort(got)
			if slices.Equal(got, want) {
				return
			}
		}
		t.Errorf("got %q, want %q", got, want)
	}
	ask(connect())
	ctx, stop := context.WithCancel(t.Context())
	for _, name := range []string{"a", "b"} {
		if err := connect().Answer(t.Context(), "how", func() []byte { return []byte(name) }); err != nil {
			t.Fatal(err)
		}
	}
	b := connect()
	if err := b.Answer(ctx, "how", func() []byte { return []byte("c") }); err != nil {
		t.Fatal(err)
	}
	ask(connect(), "a", "b", "c")
	stop()
	ask(b, "a", "b")
	if _, err := b.Ask(t.Context(), "a.b", time.Second); err == nil {
		t.Error("a topic of two parts is accepted")
	}
}
