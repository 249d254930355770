package rig

import (
	"crypto/rand"
	"encoding/json"
	"fmt"
	mathrand "math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Nodes is the number of servers of a Cluster.
const Nodes = 3

// Cluster is three nats-servers with JetStream as processes, with the configuration of
// ops/deploy/nats. Between them, and between them and their clients, are proxies.
type Cluster struct {
	Certs    Certs
	User     string // "itool", of auth.conf
	Password string
	Dir      string // nats.conf, auth.conf, and a folder for each node

	nodes [Nodes]node
}

type node struct {
	*Process
	env     []string
	listen  string         // where the node itself listens for clients
	monitor string         // its HTTP page
	clients *Proxy         // clients → this node
	routes  map[int]*Proxy // this node → another one
}

// ClusterOptions are what a test changes of ops/deploy/nats.
type ClusterOptions struct {
	Auth   string // auth.conf; "": as it stands there
	Verify bool   // clients must show a certificate
}

// NATS starts a cluster and waits until it has a leader. It ends with the test.
func NATS(t testing.TB, o ClusterOptions) *Cluster {
	t.Helper()
	c := &Cluster{Certs: NewCerts(t), User: "itool", Password: "p" + rand.Text(), Dir: t.TempDir()}
	for name, text := range map[string]string{"nats.conf": "", "auth.conf": o.Auth} {
		if text == "" {
			from, err := os.ReadFile(filepath.Join(repository(t), "ops", "deploy", "nats", name))
			if err != nil {
				t.Fatal(err)
			}
			text = string(from)
		}
		if err := os.WriteFile(filepath.Join(c.Dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var clusterListen [Nodes]string
	for i := range c.nodes {
		clusterListen[i] = lowPort(t)
		c.nodes[i].listen, c.nodes[i].monitor = lowPort(t), lowPort(t)
		c.nodes[i].clients = NewProxy(t, c.nodes[i].listen)
	}
	sysPassword := "p" + rand.Text()
	for i := range c.nodes {
		n := &c.nodes[i]
		n.routes = map[int]*Proxy{}
		var routes []string
		for j := range c.nodes {
			if j != i {
				n.routes[j] = NewProxy(t, clusterListen[j])
				routes = append(routes, "nats://"+n.routes[j].Address())
			}
		}
		n.env = []string{
			fmt.Sprintf("NATS_NAME=nats-%d", i+1),
			"NATS_LISTEN=" + n.listen,
			"NATS_ADVERTISE=" + n.clients.Address(),
			"NATS_MONITOR=" + n.monitor,
			"NATS_STORE=" + c.Store(i),
			"NATS_MAX_FILE=10GB",
			`NATS_SYNC="2m"`, // what SIGKILL leaves in the page cache stays; tests cut no power
			"NATS_CERT=" + c.Certs.Cert, "NATS_KEY=" + c.Certs.Key, "NATS_CA=" + c.Certs.CA,
			fmt.Sprintf("NATS_VERIFY=%t", o.Verify),
			"NATS_CLUSTER_LISTEN=" + clusterListen[i],
			// The nodes tell one another this address. Port 1 answers no one, so that they stay
			// on the routes through the proxies.
			"NATS_CLUSTER_ADVERTISE=127.0.0.1:1",
			"NATS_ROUTES=[" + strings.Join(routes, ", ") + "]",
			"ITOOL_NATS_PASSWORD=" + c.Password, "NATS_SYS_PASSWORD=" + sysPassword,
		}
	}
	for i := range c.nodes {
		c.Start(t, i)
	}
	c.WaitReady(t)
	return c
}

// URL is the address for clients of one node, counted from 0, without user and password.
func (c *Cluster) URL(node int) string { return "tls://" + c.nodes[node].clients.Address() }

// URLs are the addresses of all nodes, with commas between them.
func (c *Cluster) URLs() string {
	all := make([]string, Nodes)
	for i := range all {
		all[i] = c.URL(i)
	}
	return strings.Join(all, ",")
}

// Start starts a node again that was killed or stopped.
func (c *Cluster) Start(t testing.TB, node int) {
	t.Helper()
	n := &c.nodes[node]
	n.Process = startProgram(t, c.Dir, n.env, natsServer(t), "-c", "nats.conf")
}

// Store is the folder with the data of a node.
func (c *Cluster) Store(node int) string { return filepath.Join(c.Dir, fmt.Sprintf("nats-%d", node+1)) }

// Kill ends a node by SIGKILL.
func (c *Cluster) Kill(node int) { c.nodes[node].Kill() }

// MemoryMiB is the memory of all nodes that lies in RAM, in MiB.
func (c *Cluster) MemoryMiB() (sum float64) {
	for i := range c.nodes {
		sum += c.nodes[i].MemoryMiB()
	}
	return sum
}

// Stop ends a node by SIGTERM.
func (c *Cluster) Stop(node int) { c.nodes[node].Stop() }

// Isolate cuts a node off the other nodes and off the clients. The node runs on.
func (c *Cluster) Isolate(node int) { c.each(node, (*Proxy).Cut) }

// Heal undoes Isolate.
func (c *Cluster) Heal(node int) { c.each(node, (*Proxy).Heal) }

func (c *Cluster) each(node int, do func(*Proxy)) {
	do(c.nodes[node].clients)
	for j := range c.nodes {
		if j != node {
			do(c.nodes[node].routes[j])
			do(c.nodes[j].routes[node])
		}
	}
}

// Leader is the node that leads a stream, −1 if none does at the moment.
func (c *Cluster) Leader(stream string) int {
	for i := range c.nodes {
		var page struct {
			Accounts []struct {
				Streams []struct {
					Name    string `json:"name"`
					Cluster struct {
						Leader string `json:"leader"`
					} `json:"cluster"`
				} `json:"stream_detail"`
			} `json:"account_details"`
		}
		if get(fmt.Sprintf("http://%s/jsz?accounts=true&streams=true", c.nodes[i].monitor), &page) != nil {
			continue // this node is down: another one knows
		}
		for _, a := range page.Accounts {
			for _, s := range a.Streams {
				for j := range c.nodes {
					if s.Name == stream && s.Cluster.Leader == fmt.Sprintf("nats-%d", j+1) && i == j {
						return j
					}
				}
			}
		}
	}
	return -1
}

// WaitReady waits until all nodes know one another and one leads.
func (c *Cluster) WaitReady(t testing.TB) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		ready := 0
		for i := range c.nodes {
			var page struct {
				Meta struct {
					Leader string `json:"leader"`
					Size   int    `json:"cluster_size"`
				} `json:"meta_cluster"`
			}
			err := get("http://"+c.nodes[i].monitor+"/jsz", &page)
			if err == nil && page.Meta.Leader != "" && page.Meta.Size == Nodes {
				ready++
			}
		}
		if ready == Nodes {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("only %d of %d nats-servers are ready: see their output", ready, Nodes)
		}
	}
}

// get reads a JSON page of a node.
func get(url string, into any) error {
	client := http.Client{Timeout: 2 * time.Second}
	r, err := client.Get(url)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	return json.NewDecoder(r.Body).Decode(into)
}

// natsServer builds the server once, of the version in go.mod, and returns its path.
func natsServer(t testing.TB) string {
	t.Helper()
	bin, err := buildNATS()
	if err != nil {
		t.Fatal(err)
	}
	return bin
}

// repository is the folder with go.mod.
func repository(t testing.TB) string {
	t.Helper()
	out, err := exec.Command("go", "env", "GOMOD").Output()
	if err != nil {
		t.Fatal(err)
	}
	return filepath.Dir(strings.TrimSpace(string(out)))
}

// lowPort finds an address on the loopback interface with a port below the range from which
// the system takes ports for clients: a client could otherwise take the port while its server
// restarts.
func lowPort(t testing.TB) string {
	t.Helper()
	for range 100 {
		address := fmt.Sprintf("127.0.0.1:%d", 20_000+mathrand.IntN(10_000))
		if l, err := net.Listen("tcp", address); err == nil {
			l.Close()
			return address
		}
	}
	t.Fatal("no free port")
	return ""
}
