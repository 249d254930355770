package integration

import (
	"fmt"
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
// its stream. A list needs a consumer, which one node makes; the others hear of it a moment later.
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
	for i := range tasks {
		at := broker.Address{Run: "r", Record: "task", Key: fmt.Sprint(i)}
		if _, err := b.Publish(t.Context(), at, nil, []byte("task")); err != nil {
			t.Fatal(err)
		}
	}
	for node := range rig.Nodes {
		b := connect(t, c, node)
		for what, read := range map[string]func() (int, error){
			"keys": func() (int, error) {
				keys, err := b.Keys(t.Context(), "r", "task", 0)
				return len(keys), err
			},
			"count": func() (int, error) { return b.Count(t.Context(), "r", broker.Filter("task", 0)) },
			"starts": func() (int, error) {
				n := 0
				for m, err := range b.Started(t.Context()) {
					if err != nil || string(m.Data) != string(run) {
						return n, fmt.Errorf("%q: %w", m.Data, err)
					}
					n += tasks
				}
				return n, nil
			},
		} {
			for i := range times {
				if n, err := read(); err != nil || n != tasks {
					t.Errorf("%s, time %d, through node %d while node %d leads: got %d of %d, %v",
						what, i+1, node, c.Leader("RUN_r"), n, tasks, err)
				}
			}
		}
	}
}
