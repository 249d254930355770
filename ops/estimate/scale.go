package estimate

import (
	"math"

	"itool/ops/config"
	"itool/ops/line"
	"itool/ops/report"
	"itool/schemas"
)

// Scale says what the whole run takes, from the report of its pilot. share is that of
// Share; slots is how many items are in work at once. Stages that work on many items
// divide their time among the slots.
func Scale(pilot *report.Report, full config.Config, share float64, slots int) Estimate {
	scales := stageScales(pilot, full, share)
	e := Estimate{Trains: true}
	if len(pilot.Rounds) > 0 {
		e.Pairs = float64(pilot.Rounds[0].Pairs) * treeScale(pilot, full, share)
		u := full.Update
		steps := u.Epochs * int(math.Ceil(e.Pairs/float64(u.BatchSize)))
		if u.Steps > 0 {
			steps = u.Steps
		}
		e.Trains = e.Pairs >= float64(u.MinPairs) && steps >= u.MinSteps
	}
	if !e.Trains {
		scales["update"] = 0
	}
	table := line.Rows(nil)
	for _, t := range pilot.Seconds {
		parallel := 1.0
		if !table.Gathers(t.Stage) {
			parallel = float64(max(1, min(slots, t.Items)))
		}
		scale, known := scales[t.Stage]
		if !known { // a stage that stageScales does not know yet: like the trees, rather than nothing
			scale = scales["expand"]
		}
		s := Stage{Stage: t.Stage, Pilot: t.Seconds / parallel, Scale: scale}
		s.Seconds = s.Pilot * s.Scale
		e.Stages, e.Seconds = append(e.Stages, s), e.Seconds+s.Seconds
	}
	return e
}

// stageScales is the work of the run ÷ the work of the pilot, by stage.
func stageScales(pilot *report.Report, full config.Config, share float64) map[string]float64 {
	rounds, small := float64(full.Line.Rounds), Shrink(full, share)
	validation, test := pilot.Rows.Parts[schemas.PartValidation], pilot.Rows.Parts[schemas.PartTest]
	held := test // rows that policies are evaluated on
	if full.Line.Evaluate == "validation" || full.Line.Evaluate == "auto" && test == 0 {
		held = validation
	} else if full.Line.Evaluate == "both" {
		held += validation
	}
	answers := func(c config.Config) float64 { // that one selection generates
		s := c.Select
		return atMost(validation, s.HeadroomExamples)*float64(1+s.HeadroomDraws) + 2*atMost(validation, s.JudgeExamples)
	}
	evaluations := (2 + rounds) / (2 + min(1, rounds)) // base, warm-up, and one of each round
	trees := rounds * treeScale(pilot, full, share)
	return map[string]float64{
		"split": 1, "warmup": 1 / share, "score": rounds / share, "select": rounds * answers(full) / answers(small),
		"expand": trees, "filter": trees, "update": trees,
		"evaluate": evaluations * atMost(held, full.Line.EvaluateRows) / atMost(held, small.Line.EvaluateRows),
	}
}

// treeScale is the trees of a round of the run ÷ those of the pilot's round.
func treeScale(pilot *report.Report, full config.Config, share float64) float64 {
	if len(pilot.Rounds) == 0 || pilot.Rounds[0].Trees == 0 {
		return 1
	}
	selected := int(math.Ceil(full.Select.Ratio * float64(pilot.Rows.Replay) / share))
	return atMost(selected, full.Select.MaxTrees) / float64(pilot.Rounds[0].Trees)
}

// atMost is n, at most limit and at least 1; a limit of 0 is none.
func atMost(n, limit int) float64 {
	if limit > 0 {
		n = min(n, limit)
	}
	return float64(max(n, 1))
}
