package line_test

import (
	"context"
	"testing"
	"time"

	"itool/ops/courier/couriertest"
	"itool/ops/line"
)

// TestObserve: who measures hears of every stage of every round, of all its items in the end, and of the end.
func TestObserve(t *testing.T) {
	c := couriertest.Open(t)
	cfg := line.Default()
	cfg.Rounds, cfg.BatchRows = 2, 8
	start(t, c, cfg)
	work(t, c, &world{})
	seen, ended := map[line.StageCount]bool{}, make(chan struct{})
	k := &line.Keeper{Courier: c, Worker: "k", Log: quiet, Observe: func(o line.Observation) {
		for _, s := range o.Stages {
			seen[s] = true
		}
		if o.Ended {
			select {
			case <-ended:
			default:
				close(ended)
			}
		}
	}}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); _ = k.Run(ctx, 50*time.Millisecond, nil) }()
	select {
	case <-ended:
	case <-time.After(30 * time.Second):
		t.Error("the end was not observed")
	}
	cancel()
	<-done
	type round struct {
		stage string
		round int
	}
	complete := map[round]bool{}
	for s := range seen {
		if s.Lost != 0 || s.Answered > s.Items {
			t.Errorf("got %+v", s)
		}
		complete[round{s.Stage, s.Round}] = complete[round{s.Stage, s.Round}] || s.Answered == s.Items && s.Items > 0
	}
	if len(complete) == 0 {
		t.Error("nothing was observed")
	}
	for r, all := range complete {
		if !all {
			t.Errorf("%+v: its last items were not observed", r)
		}
	}
}
