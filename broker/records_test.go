package broker_test

import (
	"fmt"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"itool/broker"
	"itool/broker/embed"
)

// TestListSurvivesItsConsumer: the server that holds the temporary consumer of a list may fail.
// Every record is listed once all the same.
func TestListSurvivesItsConsumer(t *testing.T) {
	t.Parallel()
	s := start(t, embed.Config{Dir: t.TempDir(), Port: -1})
	b := connect(t, broker.Config{URL: s.URL()})
	const runs = 20
	for i := range runs {
		if err := b.Start(t.Context(), fmt.Sprintf("r%02d", i), nil, []byte("start")); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for m, err := range b.Started(t.Context()) {
		if err != nil {
			t.Fatalf("after %d: %v", len(got), err)
		}
		got = append(got, m.Run)
		if len(got) == 3 || len(got) == 10 {
			deleteConsumers(t, s.URL(), "RUNS")
		}
	}
	for i, run := range got {
		if run != fmt.Sprintf("r%02d", i) {
			t.Errorf("place %d has %s", i, run)
		}
	}
	if len(got) != runs {
		t.Errorf("got %d of %d runs", len(got), runs)
	}
}

func deleteConsumers(t *testing.T, url, stream string) {
	t.Helper()
	nc, err := nats.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	s, err := js.Stream(t.Context(), stream)
	if err != nil {
		t.Fatal(err)
	}
	for name := range s.ConsumerNames(t.Context()).Name() {
		if err := s.DeleteConsumer(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
}
