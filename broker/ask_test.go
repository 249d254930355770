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
	ask := func(want ...string) {
		t.Helper()
		answers, err := connect().Ask(t.Context(), "how", time.Second)
		var got []string
		for _, a := range answers {
			got = append(got, string(a))
		}
		slices.Sort(got)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	ask()
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
	ask("a", "b", "c")
	stop()
	for {
		answers, err := b.Ask(t.Context(), "how", 200*time.Millisecond)
		if err != nil {
			t.Fatal(err)
		}
		if len(answers) == 2 {
			break
		}
	}
	if _, err := b.Ask(t.Context(), "a.b", time.Second); err == nil {
		t.Error("a topic of two parts is accepted")
	}
}
