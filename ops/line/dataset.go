package line

import (
	"context"
	"fmt"
	"sort"
	"strings"

	"itool/ops/courier"
	"itool/schemas"
	"itool/stages/split"
)

// each visits all examples of the run in key order, with one batch in memory, until visit returns
// false.
func (k *Keeper) each(ctx context.Context, s *runState, visit func(*schemas.Example) (more bool)) error {
	var keys []string
	if t := s.tallies[roundID(schemas.RecordExample, 0)]; t != nil {
		keys = t.done() // not gathered yet
	} else {
		var err error
		if keys, err = k.Courier.ResultKeys(ctx, s.run.Name, schemas.RecordExample, 0); err != nil {
			return err
		}
	}
	batches := courier.Batches[schemas.Example](ctx, k.Courier, s.run.Name, schemas.RecordExample, 0, keys)
	for rows, err := range batches {
		if err != nil {
			return err
		}
		for i := range rows {
			if !visit(&rows[i]) {
				return nil
			}
		}
	}
	return nil
}

// countExamples counts the examples, which decides how many tasks the rounds will have.
func (k *Keeper) countExamples(ctx context.Context, s *runState) error {
	if s.counted {
		return nil
	}
	s.replay, s.cases, s.parts = 0, 0, map[string]int{}
	err := k.each(ctx, s, func(e *schemas.Example) bool {
		s.parts[e.Part]++
		if e.Replay {
			s.replay++
		}
		return true
	})
	isCase := s.cfg.cases(s.parts)
	for part, n := range s.parts {
		for range n {
			if isCase(&schemas.Example{Part: part}) {
				s.cases++
			}
		}
	}
	s.counted = err == nil
	return err
}

// checkDropped fails the run if too much of the dataset was unusable: a run on the rest would look
// like a success.
func (k *Keeper) checkDropped(ctx context.Context, s *runState) error {
	total, dropped, train, spare := 0, 0, 0, 0
	reasons, first := map[string]int{}, map[string]string{}
	err := k.each(ctx, s, func(e *schemas.Example) bool {
		switch split.Reason(e.Reason) {
		case split.NotDrawn, split.NotLearnt, split.Repeated, split.Excluded:
			spare++ // the user or the dataset asked for fewer, or it is learnt already: nothing is at fault
			return true
		}
		total++
		switch e.Part {
		case schemas.PartDropped:
			dropped++
			if reasons[e.Reason]++; reasons[e.Reason] == 1 {
				first[e.Reason] = e.Detail
			}
		case schemas.PartTrain:
			train++
		}
		return true
	})
	if err != nil {
		return err
	}
	var why []string
	for r, n := range reasons {
		why = append(why, fmt.Sprintf("%d × %s (first: %s)", n, r, first[r]))
	}
	sort.Strings(why)
	switch {
	case total+spare == 0:
		return errFailed{"the dataset has no assistant turn; publish one that has"}
	case float64(dropped) > s.cfg.MaxDropped*float64(total):
		return errFailed{fmt.Sprintf("%d of %d examples were dropped and line.max_dropped is %g: %s",
			dropped, total, s.cfg.MaxDropped, strings.Join(why, "; "))}
	case train == 0:
		return errFailed{"no example is left to train on; lower split.test_share or split.validation_share, " +
			"raise split.data_share, or publish more tool sets"}
	}
	return nil
}
