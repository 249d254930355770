package broker_test

import (
	"errors"
	"net/url"
	"strings"
	"testing"

	"itool/broker"
	"itool/broker/embed"
)

// TestReplicasOfOneServer: a server that is alone says so before anything is made.
func TestReplicasOfOneServer(t *testing.T) {
	t.Parallel()
	s := start(t, embed.Config{Dir: t.TempDir(), Port: -1})
	for replicas, want := range map[int]string{3: "this server is alone", 9: "1 to 5 are possible"} {
		_, err := broker.Connect(t.Context(), broker.Config{URL: s.URL(), Replicas: replicas})
		if !errors.Is(err, broker.ErrReplicas) || !strings.Contains(err.Error(), want) {
			t.Errorf("%d copies: got %v, want ErrReplicas with %q", replicas, err, want)
		}
	}
}

// TestEnsureReplicas: streams that were made with one copy get three, and a cluster of three
// refuses five with what to do.
func TestEnsureReplicas(t *testing.T) {
	if testing.Short() {
		t.Skip("short: a cluster takes seconds to come up")
	}
	t.Parallel()
	u, err := url.Parse(cluster(t, 1)[1].ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword("u1", "p")
	ctx := t.Context()
	single := connect(t, broker.Config{URL: u.String()})
	if err := errors.Join(single.CreateRun(ctx, "r", 0), single.Start(ctx, "r", nil, []byte("x"))); err != nil {
		t.Fatal(err)
	}
	many := connect(t, broker.Config{URL: u.String(), Replicas: 5})
	for what, call := range map[string]func() error{
		"ensure":     func() error { return many.EnsureReplicas(ctx) },
		"create run": func() error { return many.CreateRun(ctx, "other", 0) },
	} {
		if err := call(); !errors.Is(err, broker.ErrReplicas) || !strings.Contains(err.Error(), "start more servers") {
			t.Errorf("%s with 5 copies on 3 servers: got %v", what, err)
		}
	}
	if err := connect(t, broker.Config{URL: u.String(), Replicas: 3}).EnsureReplicas(ctx); err != nil {
		t.Fatal(err)
	}
	for range 2 { // a second call changes nothing, and a connection that wants fewer lowers none
		if err := single.EnsureReplicas(ctx); err != nil {
			t.Fatal(err)
		}
	}
	all, err := single.Copies(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range all {
		if s.Wanted != 3 {
			t.Errorf("%s has %d copies, want 3", s.Stream, s.Wanted)
		}
	}
	if len(all) != 5 {
		t.Errorf("got %+v, want the run, the starts and three buckets", all)
	}
	waitFor(t, "copies that are current", func() bool {
		all, err := single.Copies(ctx)
		for _, s := range all {
			if s.Behind > 0 || s.Leader == "" {
				return false
			}
		}
		return err == nil
	})
}
