package line_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"itool/ops/courier/couriertest"
	"itool/ops/line"
)

// Keepers that die anywhere, between manifest and tasks or between gather and the next round, leave
// the same records as an undisturbed keeper.
func TestKeepersMayDieAnywhere(t *testing.T) {
	if testing.Short() {
		t.Skip("lets keepers die a thousand times, for a minute; the full test run does it")
	}
	cfg := line.Default()
	cfg.BatchRows = 2
	run := func(lifetime func() time.Duration) (records []string, deaths int) {
		c := couriertest.Open(t)
		start(t, c, cfg)
		work(t, c, &world{})
		ended := false
		for deadline := time.Now().Add(30 * time.Second); !ended; {
			if time.Now().After(deadline) {
				t.Fatal("the run does not end")
			}
			ctx, cancel := context.WithTimeout(t.Context(), lifetime())
			k := &line.Keeper{Courier: c, Worker: "k", Log: quiet}
			_ = k.Run(ctx, 10*time.Millisecond, func(s line.State) {
				if s.Ended {
					ended = true
					cancel()
				}
			})
			cancel()
			deaths++
		}
		return dump(t, c), deaths - 1
	}
	want, _ := run(func() time.Duration { return time.Minute })
	rng := rand.New(rand.NewPCG(3, 4))
	got, deaths := run(func() time.Duration { return time.Duration(5+rng.IntN(60)) * time.Millisecond })
	if !slices.Equal(got, want) {
		t.Errorf("after %d deaths:\n%s\nwant:\n%s", deaths, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if deaths < 5 {
		t.Errorf("only %d deaths; the test proves nothing", deaths)
	}
	t.Logf("%d deaths", deaths)
}
