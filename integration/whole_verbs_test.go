//go:build linux

package integration

import (
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"itool/integration/results"
	"itool/integration/rig"
)

// verbs calls every verb that reads a run through every node of the cluster. None may fail.
func (w *whole) verbs() {
	w.t.Helper()
	times, atOnce := 1, 2
	if results.Wanted() {
		times, atOnce = 34, 6 // 34 times through each of three nodes
	}
	r := results.Begin("Cluster: every verb through every node")
	w.nodes.WaitReady(w.t)
	awaitCopies(w.t, w.b) // the doctor finds fault with a server that is still behind
	all := []string{"runs --json", "watch " + name, "report " + name + " --json", "failed " + name,
		"tree " + name + " --list", "examples " + name + " --part train", "export " + name + " --out adapter", "fsck",
		"doctor --json"}
	rows := [][]string{{"verb", "calls", "failed"}}
	for _, verb := range all {
		failed := w.repeat(strings.Fields(verb), times, atOnce)
		rows = append(rows, []string{"`itool " + verb + "`", fmt.Sprint(times * rig.Nodes), fmt.Sprint(failed)})
	}
	w.t.Log("\n" + results.Table(rows...))
	err := r.Write(fmt.Sprintf("On the run of the acceptance, %d times through each of three nodes, %d at once.\n\n%s",
		times, atOnce, results.Table(rows...)))
	if err != nil {
		w.t.Error(err)
	}
}

// repeat calls a verb so many times through each node and returns how many calls failed.
func (w *whole) repeat(verb []string, times, atOnce int) (failed int) {
	w.t.Helper()
	var all sync.WaitGroup
	var mu sync.Mutex
	calls := make(chan int)
	for range atOnce {
		all.Go(func() {
			for n := range calls {
				args := append(verb[:len(verb):len(verb)], "--broker", w.nodes.URL(n%rig.Nodes))
				if i := len(args) - 3; args[i] == "adapter" {
					args[i] = filepath.Join(w.dir, fmt.Sprint("adapter-", n, time.Now().UnixNano()))
				}
				out, errs, code := rig.Itool(w.t, w.dir, args...)
				if code != 0 {
					mu.Lock()
					failed++
					mu.Unlock()
					w.t.Errorf("itool %s through node %d: exit code %d\n%s%s", verb, n%rig.Nodes, code, out, errs)
				}
			}
		})
	}
	for n := range times * rig.Nodes {
		calls <- n
	}
	close(calls)
	all.Wait()
	return failed
}
