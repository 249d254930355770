package main

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/cookiejar"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"itool/ops/courier"
	"itool/ops/line"
	"itool/ops/site"
	"itool/schemas"
)

var pageTime = flag.Duration("page-time", 10*time.Second, "how long TestPageCost watches; an hour shows what grows")

// servePage starts itool ui as a process and returns its address.
func servePage(t *testing.T, dir string, args ...string) (address string, process *exec.Cmd) {
	t.Helper()
	c := command(t, dir, append([]string{"ui"}, args...)...)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.Stderr = os.Stderr
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
	})
	first, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(strings.TrimPrefix(first, "the page is at ")), c
}

// TestUI: the page is served at the address that is printed, to those who know its key; a run that is there
// already is found in ./itool-runs, and killing the page does it no harm.
func TestUI(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes; the full test run does it")
	}
	dir := t.TempDir()
	s, err := site.OpenFolder(t.Context(), filepath.Join(dir, runsDir, "r1"), site.AnyPort, quietLog())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	startRun(t, s.Courier, "r1")
	address, process := servePage(t, dir, "r1")
	bare, key, _ := strings.Cut(address, "?")
	for _, c := range []struct {
		path string
		code int
	}{{"", http.StatusUnauthorized}, {"?" + key, http.StatusOK}, {"run/r1?" + key, http.StatusOK}} {
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := (&http.Client{Jar: jar}).Get(bare + c.path)
		if err != nil {
			t.Fatal(err)
		}
		io.Copy(io.Discard, answer.Body)
		answer.Body.Close()
		if answer.StatusCode != c.code {
			t.Errorf("%s: code %d, want %d", c.path, answer.StatusCode, c.code)
		}
	}
	process.Process.Kill()
	process.Wait()
	if _, _, err := s.Description(t.Context(), "r1"); err != nil {
		t.Errorf("after the page was killed: %v", err)
	}
	expect(t, dir, exitUsage, "HOST:PORT", "ui", "r1", "--listen", "nowhere")
	expect(t, dir, exitUsage, "everybody on the network", "ui", "r1", "--listen", "0.0.0.0:0", "--no-key")
	expect(t, dir, exitError, "there are: r1", "ui", "nope")
}

// startRun starts a run that stands in the middle of its first round.
func startRun(t *testing.T, c *courier.Courier, run string) {
	t.Helper()
	started := schemas.Run{Name: run, Created: "2026-01-02T03:04:05Z", Config: `{"line":{"rounds":3}}`, Dataset: "[]"}
	b, err := schemas.Encode(schemas.Header{Run: run, Key: "run"}, []schemas.Run{started})
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Broker.Start(t.Context(), run, b.Header.Map(), b.Body); err != nil {
		t.Fatal(err)
	}
	if err := c.Broker.CreateRun(t.Context(), run, 1<<30); err != nil {
		t.Fatal(err)
	}
	post(t, c, "run", run, "run", started)
	for _, result := range []string{"score", "pair", "verdict"} {
		var keys []schemas.Manifest
		for i := range 100_000 {
			keys = append(keys, schemas.Manifest{Key: fmt.Sprintf("k%06d", i)})
		}
		post(t, c, "manifest", run, result, keys...)
	}
}

func post[R schemas.Record](t *testing.T, c *courier.Courier, record, run, key string, rows ...R) {
	t.Helper()
	b, err := schemas.Encode(schemas.Header{Run: run, Key: key, Worker: "w"}, rows)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Publish(t.Context(), record, b, nil); err != nil && t.Context().Err() == nil {
		t.Fatal(err)
	}
}

// TestPageCost: a page that is looked at takes at most a hundredth of a core while every stage reports ten
// items a second, and its memory does not grow.
func TestPageCost(t *testing.T) {
	if testing.Short() || runtime.GOOS != "linux" {
		t.Skip("watches a process for some seconds, by /proc; the full test run does it on Linux")
	}
	dir := t.TempDir()
	s, err := site.OpenFolder(t.Context(), filepath.Join(dir, "r1"), site.AnyPort, quietLog())
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	startRun(t, s.Courier, "r1")
	address, process := servePage(t, dir, "r1", "--dir", "r1", "--no-key")
	answer, err := http.Get(address + "run/r1/events")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	received := make(chan int64, 1)
	go func() {
		n, _ := io.Copy(io.Discard, answer.Body)
		received <- n
	}()
	work(t, s.Courier, 3*time.Second, 0)
	cpu, memory := usage(t, process.Process.Pid)
	start := time.Now()
	items := work(t, s.Courier, *pageTime, 1)
	took := time.Since(start)
	cpuAfter, memoryAfter := usage(t, process.Process.Pid)
	answer.Body.Close()
	share := (cpuAfter - cpu).Seconds() / took.Seconds()
	t.Logf("%d events in %v: %.2f %% of a core, memory %d → %d KiB, %d bytes sent",
		items, took.Round(time.Millisecond), 100*share, memory>>10, memoryAfter>>10, <-received)
	if share > 0.01*1.5 { // the clock of /proc ticks a hundred times a second
		t.Errorf("the page takes %.2f %% of a core, at most 1 is wanted", 100*share)
	}
	if memoryAfter > memory+16<<20 {
		t.Errorf("the page's memory grew from %d to %d bytes", memory, memoryAfter)
	}
}

// work lets every stage report ten times a second, and counts the reports. Results are published beside it, as
// fast as the disk lets them.
func work(t *testing.T, c *courier.Courier, d time.Duration, part int) (n int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	var results sync.WaitGroup
	defer results.Wait()
	results.Go(func() { publishResults(ctx, c, part) })
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return n
		case <-tick.C:
		}
		for _, stage := range line.Rows(nil).Stages() {
			n++
			c.AnnounceProgress(ctx, schemas.Header{Run: "r1", Key: "k"}, schemas.Progress{
				Stage: stage.Spec().Name, Key: "k", Done: int64(i), Total: 100_000, Unit: "steps", Detail: "loss 0.5",
			})
		}
	}
}

// publishResults publishes up to ten results of each record a second.
func publishResults(ctx context.Context, c *courier.Courier, part int) {
	for i := 0; ctx.Err() == nil; i++ {
		h := schemas.Header{Run: "r1", Key: fmt.Sprintf("k%d%05d", part, i), Worker: "w"}
		for _, record := range []string{"score", "candidate", "pair", "verdict"} {
			b, err := schemas.Encode(h, []schemas.Score{{ExampleID: h.Key, Perplexity: 2}})
			if err == nil {
				_, err = c.Publish(ctx, record, b, nil)
			}
			if err != nil {
				return // the time is over
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// usage is the processor time and the resident memory of a process.
func usage(t *testing.T, pid int) (cpu time.Duration, memory int64) {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(text[strings.LastIndex(string(text), ")")+1:]))
	for _, at := range []int{11, 12} { // utime, stime: in hundredths of a second
		n, err := strconv.Atoi(fields[at])
		if err != nil {
			t.Fatal(err)
		}
		cpu += time.Duration(n) * 10 * time.Millisecond
	}
	pages, err := strconv.ParseInt(fields[21], 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return cpu, pages * int64(os.Getpagesize())
}

func quietLog() *slog.Logger { return slog.New(slog.DiscardHandler) }
