package integration

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"itool/integration/rig"
	"itool/ops/line"
)

// TestKills: processes of every kind are killed all through a run, twenty times, the one
// with broker, store and keeper too, and the policies are those of an undisturbed run.
func TestKills(t *testing.T) {
	if testing.Short() {
		t.Skip("kills processes for about a minute; the full test run does it")
	}
	undisturbed := policies(t, inOneProcess(t))
	k := up(t)
	k.publish()
	kinds := []struct {
		name   string
		stages []string
	}{
		{"keeper, broker and store", nil},
		{"split, score, select and filter", []string{"split", "score", "select", "filter"}},
		{"warmup and update", []string{"warmup", "update"}},
		{"expand", []string{"expand"}},
		{"expand", []string{"expand"}},
	}
	workers := make([]*rig.Process, len(kinds))
	for i, kind := range kinds {
		if kind.stages != nil {
			workers[i] = k.work(kind.stages...)
		}
	}
	rng := rand.New(rand.NewPCG(7, 11))
	killed := map[string]int{}
	const kills = 20
	var order []int // of the next kinds: each comes once before one comes again, however short the run
	for n := 0; n < kills && !k.ended(); n++ {
		<-time.After(time.Duration(200+rng.IntN(1000)) * time.Millisecond)
		if len(order) == 0 {
			order = rng.Perm(len(kinds))
		}
		i := order[0]
		order = order[1:]
		killed[kinds[i].name]++
		if kinds[i].stages == nil {
			k.site.Restart(t)
			continue
		}
		workers[i].Kill()
		workers[i] = k.work(kinds[i].stages...)
	}
	t.Logf("killed by SIGKILL: %v", killed)
	if len(killed) < 4 {
		t.Errorf("only %v were killed: the test shows too little", killed)
	}
	k.end()
	if got := policies(t, k.site.Courier); fmt.Sprint(got) != fmt.Sprint(undisturbed) {
		t.Errorf("policies\n%v differ from those of an undisturbed run in one process\n%v", got, undisturbed)
	}
}

// ended tells whether the run has ended.
func (k *cluster) ended() bool {
	v, err := line.Rows(nil).Look(k.t.Context(), k.site.Courier, name)
	return err == nil && v.End != nil
}
