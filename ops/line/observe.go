package line

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"itool/stages"
)

// Observation is what a keeper knows of a run that goes on, for those who measure.
type Observation struct {
	Run    string
	Status Status
	Ended  bool         // or retired: nothing more comes
	Stages []StageCount // of the open rounds and of the last that were closed, each stage of each round once
}

// StageCount is how far a stage is in a round.
type StageCount struct {
	Round                 int
	Stage                 string
	Items, Answered, Lost int // Lost: items that the stage gave up
}

const (
	// observeEvery bounds how often a run is observed: it looks at each item of its open rounds.
	observeEvery = 2 * time.Second
	keptCounts   = 16 // of closed rounds, so that the last items of a round are seen
)

// observe tells Observe of a run.
func (k *Keeper) observe(s *runState, st State, status Status) {
	if k.Observe == nil || !st.Ended && time.Since(s.observed) < observeEvery {
		return
	}
	s.observed = time.Now()
	o := Observation{Run: st.Run, Status: status, Ended: st.Ended, Stages: slices.Clone(s.counts)}
	for id, t := range s.tallies {
		o.Stages = append(o.Stages, t.counts(id)...)
	}
	k.Observe(o)
}

// counts are the tally's numbers, by stage. id is that of roundID.
func (t *tally) counts(id string) []StageCount {
	all := make([]StageCount, len(t.chain))
	round, _ := strconv.Atoi(id[strings.LastIndexByte(id, '.')+1:])
	for i, spec := range t.chain {
		all[i] = StageCount{Round: round, Stage: spec.Name, Items: len(t.items)}
	}
	last := len(all) - 1
	if last < 0 {
		return nil
	}
	for i, state := range t.items {
		switch {
		case state == itemDone:
			for j := range all { // what made a result has gone through all of them
				all[j].Answered++
			}
		case t.woke[i] != 0 && last > 0:
			all[last-1].Answered++
		}
		if state == itemFailed {
			all[t.failedAt(i)].Lost++
		}
	}
	return all
}

// failedAt is the index in chain of the stage that gave item i up; the last one if that is not known.
func (t *tally) failedAt(i int) int {
	stage := t.failed[t.keys[i]]
	if at := slices.IndexFunc(t.chain, func(spec stages.Spec) bool { return spec.Name == stage }); at >= 0 {
		return at
	}
	return len(t.chain) - 1
}

// keep remembers the numbers of a round that was closed.
func (s *runState) keep(id string, t *tally) {
	for _, c := range t.counts(id) {
		s.counts = slices.DeleteFunc(s.counts, func(old StageCount) bool {
			return old.Round == c.Round && old.Stage == c.Stage
		})
		s.counts = append(s.counts, c)
	}
	s.counts = slices.Delete(s.counts, 0, max(0, len(s.counts)-keptCounts))
	s.observed = time.Time{} // told with the next step
}
