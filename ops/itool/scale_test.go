//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// xlamRows writes rows of the shape, and about the size, of xLAM's function-calling set: a
// question, one to four tools as JSON text, one to three calls as JSON text. The same seed
// gives the same rows.
func xlamRows(t testing.TB, file string, rows int, seed uint64) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	r := rand.New(rand.NewPCG(seed, 60_000))
	for i := range rows {
		line, err := json.Marshal(xlamRow(r, i))
		if err != nil {
			t.Fatal(err)
		}
		w.Write(line)
		w.WriteByte('\n')
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
}

func xlamRow(r *rand.Rand, id int) map[string]any {
	words := func(n int) string {
		var all []string
		for range n {
			all = append(all, xlamWords[r.IntN(len(xlamWords))])
		}
		return strings.Join(all, " ")
	}
	type parameter struct {
		Description string `json:"description"`
		Type        string `json:"type"`
		Default     string `json:"default,omitempty"`
	}
	type call struct {
		Name      string         `json:"name"`
		Arguments map[string]any `json:"arguments"`
	}
	var tools []map[string]any
	var calls []call
	query := words(6)
	for n := range 1 + r.IntN(4) {
		tool := r.IntN(xlamTools)
		name := fmt.Sprintf("%s_%s_%d", xlamWords[tool%len(xlamWords)], xlamWords[tool/7%len(xlamWords)], tool)
		parameters := map[string]parameter{}
		c := call{name, map[string]any{}}
		for p := range 1 + r.IntN(3) {
			key := fmt.Sprintf("%s_%d", words(1), p)
			if r.IntN(2) == 0 {
				parameters[key] = parameter{words(10), "int", ""}
				c.Arguments[key] = r.IntN(1000)
			} else {
				parameters[key] = parameter{words(10), "str", words(1)}
				c.Arguments[key] = words(2)
			}
			query += fmt.Sprintf(" with %v", c.Arguments[key])
		}
		tools = append(tools, map[string]any{"name": name, "description": words(14), "parameters": parameters})
		if n < 3 {
			calls = append(calls, c)
		}
	}
	text := func(v any) string {
		b, _ := json.Marshal(v) // maps and strings alone
		return string(b)
	}
	return map[string]any{"id": id, "query": query + "?", "tools": text(tools), "answers": text(calls)}
}

// xlamTools is how many different tools there are.
const xlamTools = 3673

var xlamWords = strings.Fields("get find list search the of a for given city price weather stock user " +
	"account order date time range " +
	"page limit number text image video music movie recipe hotel flight train route map country currency rate " +
	"convert " +
	"calculate area length mass speed random quote news article comment post profile follow count total average " +
	"random " +
	"status code message email phone address name identifier optional required default value returns retrieves fetches")

// BenchmarkScale surveys, publishes and splits 6,000 and 60,000 rows, each in a process of its
// own: seconds, and the most memory that the process had.
func BenchmarkScale(b *testing.B) {
	for _, rows := range []int{6_000, 60_000} {
		b.Run(fmt.Sprint(rows), func(b *testing.B) {
			for b.Loop() {
				rescale(b, rows)
			}
		})
	}
}

func rescale(b *testing.B, rows int) {
	dir := b.TempDir()
	file := filepath.Join(dir, "xlam.jsonl")
	xlamRows(b, file, rows, 1)
	base := writeBase(b, dir, nil)
	report := func(what string, start time.Time, peak int64) {
		b.ReportMetric(time.Since(start).Seconds(), what+"-s")
		b.ReportMetric(float64(peak)/(1<<20), what+"-MiB")
	}
	run := func(what string, args ...string) {
		start := time.Now()
		c := command(b, dir, args...)
		if out, err := c.CombinedOutput(); err != nil {
			b.Fatalf("itool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
		report(what, start, c.ProcessState.SysUsage().(*syscall.Rusage).Maxrss<<10)
	}
	run("data", "data", file, "--base", base, "--prompts", "0")
	up := start(b, dir, "up", "--dir", "site", "--port", fmt.Sprint(freePort(b)))
	defer stop(b, up)
	waitFor(b, func() bool { return exists(filepath.Join(dir, "site", "address")) })
	run("publish", "publish", file, "--base", base, "--name", "r", "--dir", "site")
	begin := time.Now()
	work := start(b, dir, "work", "split", "--dir", "site")
	defer stop(b, work)
	for r := (struct{ Rows struct{ Total int } }{}); r.Rows.Total < rows; time.Sleep(time.Second) {
		_, out, _ := itool(b, dir, "report", "r", "--dir", "site", "--json")
		if json.Unmarshal([]byte(out), &r) != nil || time.Since(begin) > 10*time.Minute {
			b.Fatalf("%d of %d rows after %v: %s", r.Rows.Total, rows, time.Since(begin), out)
		}
	}
	report("split", begin, peakOf(b, work))
}

var highWater = regexp.MustCompile(`VmHWM:\s+(\d+) kB`)

// peakOf is the most memory that a running process had, in bytes.
func peakOf(t testing.TB, c *exec.Cmd) int64 {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", c.Process.Pid))
	if err != nil {
		t.Skip("no /proc here: ", err)
	}
	m := highWater.FindSubmatch(status)
	if m == nil {
		t.Fatalf("no peak in %s", status)
	}
	kB, err := strconv.ParseInt(string(m[1]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kB << 10
}
