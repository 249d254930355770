package integration

import (
	"regexp"
	"strconv"
	"testing"

	"itool/integration/rig"
)

var poolLog = regexp.MustCompile(`workers started=(\d+) "?let go"?=(\d+)`)

// TestWorkersFollowTheQueue: `itool work expand --workers 0..3` has no worker until there are trees, has several
// then, none at the end, and no tree is delivered twice because of that.
func TestWorkersFollowTheQueue(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the line in processes, some seconds; the full test run does it")
	}
	k := up(t)
	args := append([]string{"work", "expand", "--workers", "0..3", "--quiet", "1s", "--verbose"}, k.where...)
	pool := rig.Start(t, k.site.Dir, args...)
	k.publish("line.rounds=1")
	k.work("split", "warmup", "score", "select", "filter", "update")
	k.end()
	trees, err := k.site.Broker.Keys(t.Context(), name, "root", 0)
	if err != nil {
		t.Fatal(err)
	}
	await(t, "empty queue", func() bool {
		queues, err := k.site.Broker.Queues(t.Context(), name)
		return err == nil && queues["expand"].Depth() == 0
	})
	queues, err := k.site.Broker.Queues(t.Context(), name)
	if q := queues["expand"]; err != nil || len(trees) < 3 || q.Deliveries != uint64(len(trees)) {
		t.Errorf("%d trees were delivered %d times, %v", len(trees), q.Deliveries, err)
	}
	await(t, "workers that leave after the quiet time", func() bool {
		started, gone := workersOf(pool)
		return gone == started
	})
	pool.Stop()
	if started, gone := workersOf(pool); started < 2 || gone != started {
		t.Errorf("%d workers were started and %d let go; want several, and all of them", started, gone)
	}
}

// workersOf counts what a pool says of its workers.
func workersOf(pool *rig.Process) (started, gone int) {
	for _, m := range poolLog.FindAllStringSubmatch(pool.Said(), -1) {
		s, _ := strconv.Atoi(m[1])
		g, _ := strconv.Atoi(m[2])
		started, gone = started+s, gone+g
	}
	return started, gone
}
