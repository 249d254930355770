package checkpoint_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"itool/storage"
	"itool/storage/checkpoint"
	"itool/storage/disk"
)

const childEnv = "ITOOL_CRASH_TEST_STORE" // set in a child process: the folder that it writes to

func TestMain(m *testing.M) {
	if dir := os.Getenv(childEnv); dir != "" {
		if err := crashChild(dir); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// TestKilledWriters kills processes in the middle of writes, while another process keeps
// writing into the same folder. All visible objects must be complete, and all acknowledged
// objects must exist.
func TestKilledWriters(t *testing.T) {
	const kills = 20
	dir := t.TempDir()
	random := rand.New(rand.NewPCG(1, 2))
	survivor := startChild(t, dir)
	checked := map[string]bool{}
	for range kills {
		victim := startChild(t, dir)
		victim.readLines(1 + random.IntN(40))
		victim.kill()
		acked := append(victim.acked, survivor.readLines(2)...)
		checkStore(t, dir, acked, checked)
		if t.Failed() {
			break
		}
	}
	survivor.stop()
	checkStore(t, dir, survivor.acked, map[string]bool{})
	if left, err := filepath.Glob(filepath.Join(dir, "tmp", "*")); err != nil || len(left) > 0 {
		t.Errorf("temporary files are left after all writers have ended: %q, %v", left, err)
	}
}

// checkStore opens the store as a new process would and reads its objects. It skips objects
// in checked, which were read before, and adds to it the ones that are never overwritten.
func checkStore(t *testing.T, dir string, acked []string, checked map[string]bool) {
	t.Helper()
	s, err := disk.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for info, err := range s.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		if checked[info.Key] {
			continue
		}
		if r, _, err := s.Get(t.Context(), info.Key); err != nil {
			t.Errorf("visible, but: %v", err)
		} else if _, err := io.Copy(io.Discard, r); err != nil {
			t.Errorf("visible, but: %v", err)
		} else {
			r.Close()
		}
		if digest, ok := strings.CutPrefix(info.Key, "cp/manifests/"); ok {
			checkCheckpoint(t, s, strings.TrimSuffix(digest, ".json"))
		}
		checked[info.Key] = !strings.HasSuffix(info.Key, "/same")
	}
	for _, line := range acked {
		key, sha, _ := strings.Cut(line, " ")
		if info, err := s.Stat(t.Context(), key); err != nil || info.SHA256 != sha {
			t.Errorf("acknowledged %s: %+v, %v", line, info, err)
		}
	}
}

func checkCheckpoint(t *testing.T, s storage.Store, digest string) {
	t.Helper()
	fsys, m, err := checkpoint.Open(t.Context(), s, "cp", digest)
	if err != nil {
		t.Errorf("visible, but: %v", err)
		return
	}
	for _, p := range m.Parts {
		if got, err := fs.ReadFile(fsys, p.Name); err != nil || int64(len(got)) != p.Size {
			t.Errorf("checkpoint %s: part %s: %d bytes, %v", digest, p.Name, len(got), err)
		}
	}
}

// child is a process that writes objects. It prints a line "<key> <sha256>" for each object
// whose write was acknowledged.
type child struct {
	t     *testing.T
	cmd   *exec.Cmd
	in    io.Closer
	out   *bufio.Scanner
	log   *bytes.Buffer
	acked []string
}

func startChild(t *testing.T, dir string) *child {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := &child{t: t, cmd: exec.Command(exe), log: &bytes.Buffer{}}
	c.cmd.Env = append(os.Environ(), childEnv+"="+dir)
	c.cmd.Stderr = c.log
	in, inErr := c.cmd.StdinPipe()
	out, outErr := c.cmd.StdoutPipe()
	if err := errors.Join(inErr, outErr, c.cmd.Start()); err != nil {
		t.Fatal(err)
	}
	c.in, c.out = in, bufio.NewScanner(out)
	t.Cleanup(func() { c.cmd.Process.Kill() })
	return c
}

// readLines waits for n acknowledgements and returns them.
func (c *child) readLines(n int) []string {
	c.t.Helper()
	for range n {
		if !c.out.Scan() {
			c.cmd.Wait()
			c.t.Fatalf("the child ended before it was killed: %s", c.log)
		}
		c.acked = append(c.acked, c.out.Text())
	}
	return c.acked[len(c.acked)-n:]
}

// kill sends SIGKILL and reads the acknowledgements that were printed before it arrived.
func (c *child) kill() {
	c.t.Helper()
	if err := c.cmd.Process.Kill(); err != nil {
		c.t.Fatal(err)
	}
	for c.out.Scan() {
		if strings.Count(c.out.Text(), " ") == 1 {
			c.acked = append(c.acked, c.out.Text())
		}
	}
	c.cmd.Wait() // the error says that it was killed, which is expected
}

// stop closes the child's input. The child then finishes its writes and ends.
func (c *child) stop() {
	c.t.Helper()
	c.in.Close()
	for c.out.Scan() {
		c.acked = append(c.acked, c.out.Text())
	}
	if err := c.cmd.Wait(); err != nil {
		c.t.Errorf("the surviving child: %v: %s", err, c.log)
	}
}

// crashChild writes from several goroutines until its input ends or it is killed.
func crashChild(dir string) error {
	s, err := disk.Open(dir)
	if err != nil {
		return err
	}
	ended := make(chan struct{})
	go func() { io.Copy(io.Discard, os.Stdin); close(ended) }()

	acknowledge := ackWriter()
	pid := os.Getpid()
	writers := []func(i int) error{
		func(i int) error {
			return acknowledge(s.Put(context.Background(), fmt.Sprintf("raw/%d/%d", pid, i), randomContent(i), -1))
		},
		func(i int) error {
			_, err := s.Put(context.Background(), "raw/same", randomContent(i), -1)
			return err
		},
		func(i int) error { // both children put the same keys
			info, err := s.PutIfAbsent(context.Background(), fmt.Sprintf("absent/%d", i), randomContent(i), -1)
			if errors.Is(err, storage.ErrExists) {
				return nil
			}
			return acknowledge(info, err)
		},
		func(i int) error {
			write := func(create func(string) (io.WriteCloser, error)) error {
				return errors.Join(part(create, "shared", i/4), part(create, "own/x", i+pid), part(create, "own/y", i))
			}
			m, err := checkpoint.Write(context.Background(), s, "cp", nil, write)
			return acknowledge(storage.Info{Key: "cp/manifests/" + m.Digest() + ".json", SHA256: m.Digest()}, err)
		},
	}
	errs := make(chan error, len(writers))
	for _, write := range writers {
		go func() {
			for i := 0; ; i++ {
				select {
				case <-ended:
					errs <- nil
					return
				default:
				}
				if err := write(i); err != nil {
					errs <- err
					return
				}
			}
		}()
	}
	for range writers {
		err = errors.Join(err, <-errs)
	}
	return err
}

// ackWriter returns a function that prints one acknowledgement, in a single write.
func ackWriter() func(info storage.Info, err error) error {
	var mu sync.Mutex
	return func(info storage.Info, err error) error {
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		_, err = fmt.Printf("%s %s\n", info.Key, info.SHA256)
		return err
	}
}

func part(create func(string) (io.WriteCloser, error), name string, seed int) error {
	w, err := create(name)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, randomContent(seed))
	return errors.Join(err, w.Close())
}

// randomContent gives up to 60 kB that depend only on seed.
func randomContent(seed int) io.Reader {
	random := rand.New(rand.NewPCG(uint64(seed), 0))
	p := make([]byte, random.IntN(60_000))
	for i := range p {
		p[i] = byte(random.Uint32())
	}
	return bytes.NewReader(p)
}
