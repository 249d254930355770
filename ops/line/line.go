// Package line says which stage follows which, and keeps the rounds going.
//
//	shard ─split→ example ═warmup⇒ policy 0
//	                                  │
//	      ┌───────── round r ─────────┘
//	      buffer ─score→ score ═select⇒ selection
//	      root ─expand→ candidate ─filter→ pair ═update⇒ policy r+1
//
//	case ─evaluate→ verdict          beside it, for every policy
//
// A thin arrow takes one item to one result; a double arrow wakes on the gather
// of a whole round. shard, buffer, root and case are tasks: only the keeper
// writes them, with the manifests and the gathers. All else is a stage's result,
// and a result is the next stage's task.
package line

import (
	"fmt"

	"itool/schemas"
	"itool/stages"
	"itool/stages/evaluate"
	"itool/stages/expand"
	"itool/stages/filter"
	"itool/stages/policy"
	"itool/stages/score"
	"itool/stages/selection"
	"itool/stages/split"
	"itool/stages/update"
	"itool/stages/warmup"
)

// Stages are all stages of the line, in its order. To swap one, change its row.
func Stages(engine *policy.Engine) []stages.Stage {
	return []stages.Stage{
		split.New(engine),
		warmup.New(engine),
		score.New(engine),
		selection.New(engine),
		expand.New(engine),
		filter.New(),
		update.New(engine),
		evaluate.New(engine),
	}
}

// The rounds of the line: tasks that the keeper writes, and the results that it
// waits for before it gathers them.
var (
	roundExamples = round{task: schemas.RecordShard, result: schemas.RecordExample}
	roundScores   = round{task: schemas.RecordBuffer, result: schemas.RecordScore}
	roundPairs    = round{task: schemas.RecordRoot, result: schemas.RecordPair}
	roundVerdicts = round{task: schemas.RecordCase, result: schemas.RecordVerdict}
)

type round struct{ task, result string }

// Base is the round of the base policy, before anything was trained.
const Base = -1

// Config is the keeper's section of a run's configuration.
type Config struct {
	Rounds        int     `json:"rounds"`           // rounds of search and preference after the warm-up, ≥ 0
	ShardRows     int     `json:"shard_rows"`       // rows of the dataset per split task, > 0
	BatchRows     int     `json:"batch_rows"`       // examples per score and evaluate task, > 0
	MaxDropped    float64 `json:"max_dropped"`      // share of dropped rows above which the run fails, 0..1
	Quorum        float64 `json:"quorum"`           // share of a round's items that must succeed, 0..1; below 1 the same-bytes promise ends
	Evaluate      string  `json:"evaluate"`         // parts to evaluate: "auto" (test, or validation where nothing is held out), "test", "validation", "both" or "none"
	EvaluateRows  int     `json:"evaluate_rows"`    // most examples per evaluated part, spread evenly, 0 = all
	StreamMaxByte int64   `json:"stream_max_bytes"` // quota of the run's stream
}

// Default is what the paper and the design say.
func Default() Config {
	return Config{Rounds: 3, ShardRows: 2000, BatchRows: 32, MaxDropped: 0.05, Quorum: 1, Evaluate: "auto", StreamMaxByte: 4 << 30}
}

// Validate names the field, the value and the range.
func (c Config) Validate() error {
	switch {
	case c.Rounds < 0:
		return fmt.Errorf("line.rounds: %d is below 0", c.Rounds)
	case c.ShardRows <= 0:
		return fmt.Errorf("line.shard_rows: %d is not positive", c.ShardRows)
	case c.BatchRows <= 0:
		return fmt.Errorf("line.batch_rows: %d is not positive", c.BatchRows)
	case !(c.MaxDropped >= 0 && c.MaxDropped <= 1):
		return fmt.Errorf("line.max_dropped: %g is not within 0..1", c.MaxDropped)
	case !(c.Quorum > 0 && c.Quorum <= 1):
		return fmt.Errorf("line.quorum: %g is not within 0..1", c.Quorum)
	case c.EvaluateRows < 0:
		return fmt.Errorf("line.evaluate_rows: %d is below 0", c.EvaluateRows)
	case c.StreamMaxByte < 1<<20:
		return fmt.Errorf("line.stream_max_bytes: %d is below 1 MiB", c.StreamMaxByte)
	}
	switch c.Evaluate {
	case "auto", "test", "validation", "both", "none":
		return nil
	}
	return fmt.Errorf("line.evaluate: %q is none of auto, test, validation, both, none", c.Evaluate)
}
