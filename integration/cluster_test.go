package integration

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"itool/broker"
	"itool/integration/rig"
)

// connect opens a connection to one of the given nodes of a cluster.
func connect(t *testing.T, c *rig.Cluster, nodes ...int) *broker.Broker {
	t.Helper()
	var urls []string
	for _, n := range nodes {
		urls = append(urls, c.URL(n))
	}
	b, err := broker.Connect(t.Context(), broker.Config{
		URL: strings.Join(urls, ","), User: c.User, Password: c.Password, CA: c.Certs.CA,
		Replicas: rig.Nodes, Name: "test",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	return b
}

// TestClusterReads: a run is read alike through every node, also through those that do not lead
// its stream. The starts and the list of all records are complete at once, though copies of their streams may be
// behind; a list of some records and a count are when no copy is. A list needs a consumer, which one node makes; the
// others hear of it a moment later.
func TestClusterReads(t *testing.T) {
	if testing.Short() {
		t.Skip("starts three nats-servers; the full test run does it")
	}
	const tasks, times = 50, 100
	c := rig.NATS(t, rig.ClusterOptions{})
	b := connect(t, c, 0)
	run := []byte("the start")
	if err := b.CreateRun(t.Context(), "r", 0); err != nil {
		t.Fatal(err)
	}
	if err := b.Start(t.Context(), "r", nil, run); err != nil {
		t.Fatal(err)
	}
	starts := func(b *broker.Broker) (int, error) {
		n := 0
		for m, err := range b.Started(t.Context()) {
			if err != nil || string(m.Data) != string(run) {
				return n, fmt.Errorf("%q: %w", m.Data, err)
			}
			n += tasks
		}
		return n, nil
	}
	all := func(b *broker.Broker) (int, error) {
		n := 0
		for _, err := range b.List(t.Context(), "r", broker.Everything) {
			if err != nil {
				return n, err
			}
			n++
		}
		return n, nil
	}
	for i := range tasks {
		at := broker.Address{Run: "r", Record: "task", Key: fmt.Sprint(i)}
		if _, err := b.Publish(t.Context(), at, nil, []byte("task")); err != nil {
			t.Fatal(err)
		}
		if n, err := all(b); err != nil || n != i+1 {
			t.Errorf("behind record %d: a list of %d, %v", i+1, n, err)
		}
	}
	keys := func(b *broker.Broker) (int, error) {
		keys, err := b.Keys(t.Context(), "r", "task", 0)
		return len(keys), err
	}
	count := func(b *broker.Broker) (int, error) { return b.Count(t.Context(), "r", broker.Filter("task", 0)) }

	read := func(what string, read func(*broker.Broker) (int, error)) {
		for node := range rig.Nodes {
			b := connect(t, c, node)
			for i := range times {
				if n, err := read(b); err != nil || n != tasks {
					t.Errorf("%s, time %d, through node %d while node %d leads: got %d of %d, %v",
						what, i+1, node, c.Leader("RUN_r"), n, tasks, err)
				}
			}
		}
	}
	read("all", all)
	read("starts", starts)
	awaitCopies(t, b)
	read("keys", keys)
	read("count", count)
}

// TestWorkerStartsWithoutLeaders: a worker that starts while the cluster has no leaders waits for them.
func TestWorkerStartsWithoutLeaders(t *testing.T) {
	if testing.Short() {
		t.Skip("starts three nats-servers; the full test run does it")
	}
	c := rig.NATS(t, rig.ClusterOptions{})
	dir := t.TempDir()
	write(t, filepath.Join(dir, "password"), c.Password)
	to := []string{"--broker", c.URL(0), "--user", c.User, "--password-file", "password", "--ca", c.Certs.CA,
		"--stream-replicas", "3", "--store", "disk:" + filepath.Join(dir, "store")}
	if out, errs, code := rig.Itool(t, dir, append([]string{"doctor", "--create"}, to...)...); code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	c.Kill(1)
	c.Kill(2)
	p := rig.Start(t, dir, append([]string{"work", "keeper"}, to...)...)
	await(t, "word that it waits", func() bool {
		return strings.Contains(p.Said(), "the cluster does not answer; trying again")
	})
	c.Start(t, 1)
	c.Start(t, 2)
	await(t, "work after the election", func() bool { return strings.Contains(p.Said(), "works on keeper") })
}
