package integration

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"itool/broker"
	"itool/integration/rig"
	"itool/ops/courier"
	"itool/ops/report"
	"itool/storage"
)

// TestRunOnCluster: a run on three nats-servers and a MinIO, all with TLS. The node that its
// processes connected to is killed, and the node that leads its stream is cut off from the others
// and from its clients. The policies are those of one quiet process. Then the run is read through
// every node.
func TestRunOnCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the whole line twice on servers that are killed, half a minute; the full test run does it")
	}
	k := clusterRun{t: t, store: rig.MinIOWithTLS(t), dir: t.TempDir(), said: map[string]string{}}
	k.nodes = rig.NATS(t, rig.ClusterOptions{})
	quiet := policies(t, inOneProcess(t, oneRound))
	k.writeConnection()

	k.itool("doctor", "--create")
	processes := []*rig.Process{k.work("keeper"), k.work("all"), k.work("expand")}
	dataset, base := assets(t)
	k.itool(append([]string{"publish", dataset, "--base", base, "--name", name}, settings(oneRound)...)...)
	b := connect(t, k.nodes, 0, 1, 2)
	k.disturb(b)

	s := k.store.Open(t, "runs", "some/prefix")
	got := policies(t, &courier.Courier{Broker: b, Store: s})
	if fmt.Sprint(got) != fmt.Sprint(quiet) {
		t.Errorf("policies on a cluster\n%v differ from those of one process\n%v", got, quiet)
	}
	readEverywhere(t, k.nodes, s)
	awaitCopies(t, b) // the doctor finds fault with a server that is still behind
	for _, verb := range []string{"runs", "failed " + name, "report " + name + " --json", "doctor --json"} {
		k.itool(strings.Fields(verb)...)
	}
	for i, p := range processes {
		p.Stop()
		k.said[fmt.Sprint("process ", i)] = p.Said()
	}
	k.searchSecrets(s)
}

// clusterRun is a run on a cluster and what was said of it.
type clusterRun struct {
	t     *testing.T
	nodes *rig.Cluster
	store *rig.Store
	dir   string
	said  map[string]string // output of commands
}

// writeConnection writes the file that all commands find, and the secrets that it names.
func (k *clusterRun) writeConnection() {
	k.t.Helper()
	write(k.t, filepath.Join(k.dir, "keys"), fmt.Sprintf(
		"[default]\naws_access_key_id = %s\naws_secret_access_key = %s\n", k.store.Access, k.store.Secret))
	write(k.t, filepath.Join(k.dir, "password"), k.nodes.Password)
	file := filepath.Join(k.dir, "connection.yaml")
	write(k.t, file, strings.Join([]string{
		"broker: " + k.nodes.URL(0), // the other nodes are found through this one
		"user: " + k.nodes.User, "password_file: password", "ca: " + k.nodes.Certs.CA, "stream_replicas: 3",
		"store: minios://" + k.store.Endpoint + "/runs/some/prefix?region=us-east-1&style=path",
		"store_keys: keys", "store_ca: " + k.store.Certs.CA,
	}, "\n"))
	for _, name := range []string{"ITOOL_BROKER", "ITOOL_STORE", "ITOOL_MINIO_ACCESS_KEY", "AWS_PROFILE"} {
		k.t.Setenv(name, "")
	}
	k.t.Setenv("ITOOL_CONNECTION", file)
}

// itool runs a command to its end.
func (k *clusterRun) itool(args ...string) {
	k.t.Helper()
	out, errs, code := rig.Itool(k.t, k.dir, append([]string{"--verbose"}, args...)...)
	k.said[strings.Join(args, " ")] = out + errs
	if code != 0 {
		k.t.Fatalf("itool %s: exit code %d\n%s%s", strings.Join(args, " "), code, out, errs)
	}
}

func (k *clusterRun) work(stage string) *rig.Process {
	k.t.Helper()
	return rig.Start(k.t, k.dir, "work", stage, "--verbose", "--ack-wait", "3s", "--slots", "1")
}

// disturb lets a node die and cuts another one off while the run goes on, and waits for its end.
func (k *clusterRun) disturb(b *broker.Broker) {
	k.t.Helper()
	stream := "RUN_" + name
	await(k.t, "the run's first records", func() bool {
		u, err := b.Usage(k.t.Context(), name)
		return err == nil && u.Messages > 3
	})
	k.nodes.Kill(0)
	await(k.t, "another leader", func() bool { return k.nodes.Leader(stream) > 0 })
	k.nodes.Start(k.t, 0)
	k.nodes.WaitReady(k.t)
	leader := -1
	await(k.t, "a leader", func() bool { leader = k.nodes.Leader(stream); return leader >= 0 })
	k.nodes.Isolate(leader)
	k.itool("watch", name, "--broker", k.nodes.URLs()) // the one in the file may be the one that is cut off
	k.nodes.Heal(leader)
	awaitCopies(k.t, b)
}

// searchSecrets searches for passwords and keys in all that was said and stored.
func (k *clusterRun) searchSecrets(s storage.Store) {
	k.t.Helper()
	secrets := []string{k.nodes.Password, k.store.Access, k.store.Secret}
	for what, text := range k.said {
		leaks(k.t, "what "+what+" prints", []byte(text), secrets...)
	}
	for key, content := range objects(k.t, s) {
		leaks(k.t, "object "+key, content, secrets...)
	}
	for node := range rig.Nodes {
		for file, content := range files(k.t, k.nodes.Store(node)) {
			leaks(k.t, file, content, secrets...)
		}
	}
}

// readEverywhere reads the run's report a hundred times, through every node in turn.
func readEverywhere(t *testing.T, c *rig.Cluster, s storage.Store) {
	t.Helper()
	for node := range rig.Nodes {
		place := &courier.Courier{Broker: connect(t, c, node), Store: s}
		for i := range 100/rig.Nodes + 1 {
			if _, err := report.Gather(t.Context(), place, name); err != nil {
				t.Errorf("report %d through node %d: %v", i+1, node, err)
			}
		}
	}
}

func await(t *testing.T, what string, done func() bool) {
	t.Helper()
	awaitWithin(t, time.Minute, what, done)
}

func awaitWithin(t *testing.T, limit time.Duration, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(limit); !done(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s within %v", what, limit)
		}
	}
}
