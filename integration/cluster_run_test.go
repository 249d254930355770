package integration

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"itool/integration/rig"
	"itool/ops/courier"
	"itool/ops/line"
	"itool/ops/report"
	"itool/storage"
)

// TestRunOnCluster: a run on three nats-servers and a MinIO, all with TLS, while the node that
// its processes connected to and the node that leads its stream are killed, one after the other.
// The policies are those of one quiet process. Then it is read through every node.
func TestRunOnCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the whole line twice on servers that are killed, half a minute; the full test run does it")
	}
	store := rig.MinIOWithTLS(t)
	c := rig.NATS(t, rig.ClusterOptions{})
	dir := t.TempDir()
	quiet := policies(t, inOneProcess(t, oneRound))

	connection := filepath.Join(dir, "connection.yaml")
	keys, password := filepath.Join(dir, "keys"), filepath.Join(dir, "password")
	spec := "minios://" + store.Endpoint + "/runs/some/prefix?region=us-east-1&style=path"
	write(t, keys, "[default]\naws_access_key_id = "+store.Access+"\naws_secret_access_key = "+store.Secret+"\n")
	write(t, password, c.Password)
	write(t, connection, strings.Join([]string{
		"broker: " + c.URL(0), // the other nodes are found through this one
		"user: " + c.User, "password_file: password", "ca: " + c.Certs.CA, "stream_replicas: 3",
		"store: " + spec, "store_keys: keys", "store_ca: " + store.Certs.CA,
	}, "\n"))
	for _, name := range []string{"ITOOL_BROKER", "ITOOL_STORE", "ITOOL_MINIO_ACCESS_KEY", "AWS_PROFILE"} {
		t.Setenv(name, "")
	}
	t.Setenv("ITOOL_CONNECTION", connection)

	began := time.Now()
	lap := func(what string) { t.Logf("%5.1f s: %s", time.Since(began).Seconds(), what) }
	said := map[string]string{}
	itool := func(args ...string) string {
		t.Helper()
		out, errs, code := rig.Itool(t, dir, append([]string{"--verbose"}, args...)...)
		said[strings.Join(args, " ")] = out + errs
		if code != 0 {
			t.Fatalf("itool %s: exit code %d\n%s%s", strings.Join(args, " "), code, out, errs)
		}
		return out
	}
	itool("doctor", "--create")
	keeper := rig.Start(t, dir, "work", "keeper", "--verbose", "--ack-wait", "3s")
	workers := []*rig.Process{
		rig.Start(t, dir, "work", "all", "--verbose", "--ack-wait", "3s", "--slots", "1"),
		rig.Start(t, dir, "work", "expand", "--verbose", "--ack-wait", "3s", "--slots", "1"),
	}
	dataset, base := assets(t)
	itool(append([]string{"publish", dataset, "--base", base, "--name", name}, settings(oneRound)...)...)

	lap("published")
	b := connect(t, c, 0, 1, 2)
	await(t, "the run's first records", func() bool {
		u, err := b.Usage(t.Context(), name)
		return err == nil && u.Messages > 3
	})
	lap("kill")
	c.Kill(0)
	await(t, "another leader", func() bool { return c.Leader("RUN_"+name) > 0 })
	c.Start(t, 0)
	c.WaitReady(t)
	lap("kill 2")
	leader := c.Leader("RUN_" + name)
	c.Kill(leader)
	itool("watch", name)
	c.Start(t, leader)
	c.WaitReady(t)

	lap("done")
	s := store.Open(t, "runs", "some/prefix")
	got := policies(t, &courier.Courier{Broker: b, Store: s})
	if fmt.Sprint(got) != fmt.Sprint(quiet) {
		t.Errorf("policies on a cluster\n%v differ from those of one process\n%v", got, quiet)
	}
	readEverywhere(t, c, s)
	lap("read")
	for _, verb := range []string{"runs", "failed " + name, "report " + name + " --json", "doctor"} {
		itool(strings.Fields(verb)...)
	}
	for i, p := range append(workers, keeper) {
		p.Stop()
		said[fmt.Sprint("process ", i)] = p.Said()
	}
	lap("stopped")
	secrets := []string{c.Password, store.Access, store.Secret}
	for what, text := range said {
		leaks(t, "what "+what+" prints", []byte(text), secrets...)
	}
	for key, content := range objects(t, s) {
		leaks(t, "object "+key, content, secrets...)
	}
	for node := range rig.Nodes {
		for file, content := range files(t, c.Store(node)) {
			leaks(t, file, content, secrets...)
		}
	}
}

// readEverywhere reads the run's report and its progress many times through every node.
func readEverywhere(t *testing.T, c *rig.Cluster, s storage.Store) {
	t.Helper()
	for node := range rig.Nodes {
		place := &courier.Courier{Broker: connect(t, c, node), Store: s}
		for i := range 100 {
			if _, err := line.Rows(nil).Look(t.Context(), place, name); err != nil {
				t.Errorf("look %d through node %d: %v", i+1, node, err)
			}
			if i%10 > 0 { // a report reads all records
				continue
			}
			if _, err := report.Gather(t.Context(), place, name); err != nil {
				t.Errorf("report %d through node %d: %v", i+1, node, err)
			}
		}
	}
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s within a minute", what)
		}
	}
}
