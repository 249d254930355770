package broker_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"itool/broker"
	"itool/broker/brokertest"
)

// TestCluster runs the suite on three servers with three replicas: it meets other error
// codes, elections, and replicas that lag behind. Every test has its own account, so that
// all tests can share one cluster.
func TestCluster(t *testing.T) {
	if testing.Short() {
		t.Skip("short: a cluster takes seconds to come up")
	}
	t.Parallel()
	const accounts = 40
	servers := cluster(t, accounts)
	var used atomic.Int32
	brokertest.Run(t, func(t *testing.T) brokertest.Server {
		user := fmt.Sprint("u", used.Add(1))
		if used.Load() > accounts {
			t.Fatal("more tests than accounts")
		}
		var n atomic.Int32
		return brokertest.Server{Connect: func(t *testing.T) *broker.Broker {
			u, err := url.Parse(servers[int(n.Add(1))%len(servers)].ClientURL())
			if err != nil {
				t.Fatal(err)
			}
			u.User = url.UserPassword(user, "p")
			return connect(t, broker.Config{URL: u.String(), Replicas: 3})
		}}
	})
}

func cluster(t *testing.T, accounts int) []*server.Server {
	t.Helper()
	routes := make([]*url.URL, 3)
	for i := range routes {
		routes[i] = &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", freePort(t))}
	}
	servers := make([]*server.Server, len(routes))
	for i := range servers {
		o := &server.Options{
			ServerName: fmt.Sprint("n", i), Host: "127.0.0.1", Port: -1, JetStream: true, StoreDir: t.TempDir(),
			NoSigs: true, NoLog: true, Routes: routes,
		}
		o.Cluster.Name, o.Cluster.Host = "c", "127.0.0.1"
		if _, err := fmt.Sscan(routes[i].Port(), &o.Cluster.Port); err != nil {
			t.Fatal(err)
		}
		for a := range accounts {
			account := server.NewAccount(fmt.Sprint("A", a+1))
			o.Accounts = append(o.Accounts, account)
			o.Users = append(o.Users, &server.User{Username: fmt.Sprint("u", a+1), Password: "p", Account: account})
		}
		s, err := server.NewServer(o)
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
		servers[i] = s
	}
	waitFor(t, "a leader of the cluster", func() bool {
		leaders := 0
		for _, s := range servers {
			if s.JetStreamIsLeader() && len(s.JetStreamClusterPeers()) == len(servers) {
				leaders++
			}
		}
		return leaders == 1
	})
	for a := range accounts {
		for _, s := range servers {
			account, err := s.LookupAccount(fmt.Sprint("A", a+1))
			if err == nil {
				err = account.EnableJetStream(nil, nil)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return servers
}

// freePort finds a port below the range from which the system takes ports for clients: a
// client could otherwise take the port while its server restarts.
func freePort(t *testing.T) int {
	t.Helper()
	for range 100 {
		port := 20_000 + rand.IntN(10_000)
		if l, err := net.Listen("tcp", fmt.Sprint("127.0.0.1:", port)); err == nil {
			l.Close()
			return port
		}
	}
	t.Fatal("no free port")
	return 0
}

func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("no %s within 20 s", what)
		}
	}
}
