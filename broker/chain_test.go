//go:build linux

package broker_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"itool/broker"
)

// naiveVar lets trainers commit to a stream of plain messages, instead of write-once records.
const naiveVar = "ITOOL_BROKER_TEST_NAIVE"

// commits is where trainers read the last policy and write the next one.
type commits interface {
	last(ctx context.Context) (round int, policy string, err error)
	commit(ctx context.Context, round int, parent, own string) error
	all(ctx context.Context) ([]policyMessage, error)
}

type policyMessage struct {
	Round       int
	Parent, Own string
}

// checkChain says what is wrong if the policies are not one chain from the first to the last.
func checkChain(all []policyMessage) error {
	head := "-"
	for i, p := range all {
		if p.Round != i {
			return fmt.Errorf("policy %d of the chain is of round %d: a fork", i, p.Round)
		}
		if p.Parent != head {
			return fmt.Errorf("round %d: its parent is %s, the one before it is %s", i, p.Parent, head)
		}
		head = p.Own
	}
	return nil
}

// writeOnce commits as the stages do.
type writeOnce struct{ b *broker.Broker }

func (w writeOnce) last(ctx context.Context) (int, string, error) {
	n, err := w.b.Count(ctx, "r", "policy.*.*")
	if err != nil {
		return 0, "", err
	}
	m, err := w.b.Get(ctx, broker.Address{Run: "r", Record: "policy", Round: n - 1, Key: "policy"})
	_, own, _ := strings.Cut(string(m.Data), " ")
	return n - 1, own, err
}

func (w writeOnce) commit(ctx context.Context, round int, parent, own string) error {
	at := broker.Address{Run: "r", Record: "policy", Round: round, Key: "policy"}
	_, err := w.b.Publish(ctx, at, nil, []byte(parent+" "+own))
	return err
}

func (w writeOnce) all(ctx context.Context) (all []policyMessage, err error) {
	n, err := w.b.Count(ctx, "r", "policy.*.*")
	for round := range n {
		var m broker.Message
		if m, err = w.b.Get(ctx, broker.Address{Run: "r", Record: "policy", Round: round, Key: "policy"}); err != nil {
			break
		}
		parent, own, _ := strings.Cut(string(m.Data), " ")
		all = append(all, policyMessage{m.Round, parent, own})
	}
	return all, err
}

// naive commits as one would without write-once records: a lease, and a message.
type naive struct{ js jetstream.JetStream }

const naiveStream = "NAIVE"

func (n naive) last(ctx context.Context) (int, string, error) {
	all, err := n.all(ctx)
	if err != nil {
		return 0, "", err
	}
	p := all[len(all)-1]
	return p.Round, p.Own, nil
}

func (n naive) commit(ctx context.Context, round int, parent, own string) error {
	text, err := json.Marshal(policyMessage{round, parent, own})
	if err != nil {
		return err
	}
	_, err = n.js.Publish(ctx, "naive.policy", text)
	return err
}

func (n naive) all(ctx context.Context) ([]policyMessage, error) {
	s, err := n.js.Stream(ctx, naiveStream)
	if err != nil {
		return nil, err
	}
	var all []policyMessage
	for seq := uint64(1); seq <= s.CachedInfo().State.LastSeq; seq++ {
		m, err := s.GetMsg(ctx, seq)
		if err != nil {
			return nil, err
		}
		var p policyMessage
		if err := json.Unmarshal(m.Data, &p); err != nil {
			return nil, err
		}
		all = append(all, p)
	}
	return all, nil
}

func openCommits(b *broker.Broker, port string, naively bool) (commits, func(), error) {
	if !naively {
		return writeOnce{b}, func() {}, nil
	}
	nc, err := nats.Connect("nats://127.0.0.1:" + port)
	if err != nil {
		return nil, nil, err
	}
	js, err := jetstream.New(nc)
	return naive{js}, nc.Close, err
}

// runFrozen is a trainer that takes the lease, trains until its input ends, and commits. The test freezes it
// while it trains.
func runFrozen(ctx context.Context) error {
	b, err := dial(ctx, os.Getenv(portVar))
	if err != nil {
		return err
	}
	defer b.Close()
	c, closeIt, err := openCommits(b, os.Getenv(portVar), os.Getenv(naiveVar) != "")
	if err != nil {
		return err
	}
	defer closeIt()
	if _, err := b.Acquire(ctx, "r.update", "frozen", time.Second); err != nil {
		return err
	}
	round, parent, err := c.last(ctx)
	if err != nil {
		return err
	}
	fmt.Println("trains")
	if _, err := io.Copy(io.Discard, os.Stdin); err != nil {
		return err
	}
	_ = c.commit(ctx, round+1, parent, "late") // it does not know that its lease is lost
	return nil
}

// TestCommitIsWhatKeepsOneChain: a trainer is frozen between training and commit for longer than its lease;
// another one commits meanwhile. With the write-once commit the first one's is refused. Without it the chain forks:
// the lease alone does not protect it.
func TestCommitIsWhatKeepsOneChain(t *testing.T) {
	if testing.Short() {
		t.Skip("short: waits for a lease to expire")
	}
	for name, naively := range map[string]bool{"write-once": false, "naive": true} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
			defer cancel()
			all := frozenAndOvertaken(ctx, t, naively)
			err := checkChain(all)
			if naively && err == nil {
				t.Errorf("no fork without the write-once commit: %+v; the test proves nothing", all)
			}
			if !naively && (err != nil || len(all) != 2 || all[1].Own != "overtook") {
				t.Errorf("%+v: %v, want the commit of the trainer that overtook", all, err)
			}
		})
	}
}

// frozenAndOvertaken is the scene of TestCommitIsWhatKeepsOneChain, and the policies after it.
func frozenAndOvertaken(ctx context.Context, t *testing.T, naively bool) []policyMessage {
	t.Helper()
	c := newProcesses(t)
	if naively {
		c.env = append(c.env, naiveVar+"=1")
	}
	c.spawn("server")
	b, err := dial(ctx, c.port)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	policies, closeIt, err := openCommits(b, c.port, naively)
	if err != nil {
		t.Fatal(err)
	}
	defer closeIt()
	if n, ok := policies.(naive); ok {
		_, err = n.js.CreateStream(ctx, jetstream.StreamConfig{Name: naiveStream, Subjects: []string{"naive.policy"}})
	} else {
		err = b.CreateRun(ctx, "r", 0)
	}
	if err == nil {
		err = policies.commit(ctx, 0, "-", "root")
	}
	if err != nil {
		t.Fatal(err)
	}
	frozen, end := startFrozen(t, c)
	waitUntil(ctx, t, "its lease to expire", func() bool {
		l, err := b.Acquire(ctx, "r.update", "second", time.Minute)
		return err == nil && l != nil
	})
	round, parent, err := policies.last(ctx)
	if err == nil {
		err = policies.commit(ctx, round+1, parent, "overtook")
	}
	if err == nil {
		err = errors.Join(end.Close(), frozen.Process.Signal(syscall.SIGCONT), frozen.Wait())
	}
	all, listErr := policies.all(ctx)
	if err != nil || listErr != nil {
		t.Fatal(err, listErr)
	}
	return all
}

// startFrozen starts a trainer and freezes it while it trains. It goes on after SIGCONT, and commits when end is
// closed.
func startFrozen(t *testing.T, c *processes) (frozen *exec.Cmd, end io.Closer) {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(c.env, roleVar+"=frozen")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} // it dies with the test
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	in, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() })
	if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "trains\n" {
		t.Fatalf("the trainer says %q, %v", line, err)
	}
	if err := cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	return cmd, in
}
