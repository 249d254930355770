package warmup

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strings"

	"itool/schemas"
	"itool/stages"
	"itool/stages/judge"
	"itool/stages/policy"
	"itool/stages/policy/train"
)

// levels in the order of the curriculum.
var levels = []string{schemas.DifficultyEasy, schemas.DifficultyMedium, schemas.DifficultyHard}

// example is what training needs of an example, without its texts.
type example struct {
	train.Example
	difficulty string
	rank       [3]int32 // a, b, c: candidate tools, characters of them, calls
}

// examples are the examples of the round by part, in key order.
type examples struct {
	train      []example
	validation []train.Example
	askable    []schemas.Example // validation examples that can be answered and judged, if that is wanted
	longest    int               // tokens
}

// collect reads the examples of the run. An example that another chat template rendered is
// a reject: it would teach tokens that no prompt of this policy holds. asking says whether
// askable examples are wanted: they hold texts, too.
func collect(batches iter.Seq2[schemas.Batch, error], p *policy.Policy, asking bool) (l examples, err error) {
	for ex, err := range stages.Each[schemas.Example](batches) {
		if err != nil {
			return l, fmt.Errorf("warmup: %w", err)
		}
		validation := ex.Part == schemas.PartValidation
		if !validation && ex.Part != schemas.PartTrain {
			continue
		}
		if err := judge.CheckTemplate(p, &ex); err != nil {
			return l, stages.Reject(fmt.Errorf("warmup: %w", err))
		}
		e := train.Example{ID: ex.ID, Prompt: ex.PromptIDs, Answer: ex.AnswerIDs}
		l.longest = max(l.longest, len(e.Prompt)+len(e.Answer))
		switch {
		case !validation && !slices.Contains(levels, ex.Difficulty):
			err := fmt.Errorf("warmup: example %s: difficulty: %q is none of easy, medium, hard", ex.ID, ex.Difficulty)
			return l, stages.Reject(err)
		case !validation:
			l.train = append(l.train, example{e, ex.Difficulty, [3]int32{ex.Candidates, ex.ToolChars, ex.Calls}})
			continue
		}
		l.validation = append(l.validation, e)
		if asking && judge.Askable(p, &ex) {
			l.askable = append(l.askable, ex)
		}
	}
	return l, nil
}

// phases orders the training examples. It keeps empty phases, so that warnings can name
// them.
func (c Config) phases(all []example, rate float64) []train.Phase {
	if c.Mode == ModeShuffled {
		return []train.Phase{c.phase("all", all, rate)}
	}
	if c.Mode == ModeTertile {
		all = tertiles(all)
	}
	var out []train.Phase
	for _, level := range levels {
		var part []example
		for _, l := range all {
			if l.difficulty == level {
				part = append(part, l)
			}
		}
		out = append(out, c.phase(level, part, rate))
		if level == c.Until {
			break
		}
	}
	return out
}

func (c Config) phase(name string, all []example, rate float64) train.Phase {
	p := train.Phase{Name: name, Epochs: c.Epochs, Rate: rate, BatchSize: c.BatchSize, Shuffle: true}
	for _, l := range all {
		p.Examples = append(p.Examples, l.Example)
	}
	return p
}

// tertiles ranks a copy by (a, b, c, ID) and cuts it into three parts of equal size, give
// or take one example.
func tertiles(all []example) []example {
	all = slices.Clone(all)
	slices.SortFunc(all, func(x, y example) int {
		return cmp.Or(slices.Compare(x.rank[:], y.rank[:]), cmp.Compare(x.ID, y.ID))
	})
	for i := range all {
		all[i].difficulty = levels[i*len(levels)/len(all)]
	}
	return all
}

// warnings name the phases without examples.
func warnings(phases []train.Phase) string {
	var empty []string
	for _, p := range phases {
		if len(p.Examples) == 0 {
			empty = append(empty, p.Name)
		}
	}
	if len(empty) == 0 {
		return ""
	}
	return fmt.Sprintf("no example is %s: that phase is left out (warmup.mode: tertile cuts evenly)",
		strings.Join(empty, " or "))
}

// steps is the number of optimiser steps of all phases.
func steps(phases []train.Phase) (n int) {
	for _, p := range phases {
		n += p.Epochs * ((len(p.Examples) + p.BatchSize - 1) / p.BatchSize)
	}
	return n
}
