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
// A thin arrow takes one item to one result. A double arrow wakes on the gather of a whole
// round. shard, buffer, root and case are tasks: only the keeper writes them, with the manifests
// and the gathers. Everything else is the result of a stage, and a result is the task of the
// next stage.
//
// Rows is this picture as a table. It is the only place that states the order: the keeper, the
// views of a run, the report and the lab read it.
package line

import (
	"slices"

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

// Rows are the stages in the order of the line. To add a stage, add a row (CONTRIBUTING.md names
// the lists that do not follow it); to swap one, change its row. What wakes a stage, whether it
// gathers a round and which record it writes are in its Spec. engine may be nil if only Specs are
// read.
func Rows(engine *policy.Engine) Table {
	return Table{
		// stage, when, and the round: tasks that the keeper writes, results that it waits for
		{split.New(engine), Once, &Round{
			Task: schemas.RecordShard, Result: schemas.RecordExample, Items: Shards, Title: "read the dataset"}},
		{warmup.New(engine), Once, nil},
		{score.New(engine), EachRound, &Round{
			Task: schemas.RecordBuffer, Result: schemas.RecordScore, Items: Buffer, Title: "score with",
			Settings: []string{"line.batch_rows"}}},
		{selection.New(engine), EachRound, nil},
		{expand.New(engine), EachRound, &Round{
			Task: schemas.RecordRoot, Result: schemas.RecordPair, Items: Selected, Title: "search with"}},
		{filter.New(), EachRound, nil},
		{update.New(engine), EachRound, nil},
		{evaluate.New(engine), EachPolicy, &Round{
			Task: schemas.RecordCase, Result: schemas.RecordVerdict, Items: HeldOut, Title: "evaluate",
			Settings: []string{"line.evaluate", "line.evaluate_rows", "line.batch_rows"}}},
	}
}

// Stages are all stages of the line, in its order.
func Stages(engine *policy.Engine) []stages.Stage { return Rows(engine).Stages() }

// Table is a line: its stages in order.
type Table []Row

// Row is one stage of the line. A stage must follow those whose results it reads.
type Row struct {
	stages.Stage
	When When
	// Round is what the keeper does for the stage: it writes tasks and waits for their results.
	// nil: the result of a stage before it wakes this one, or the gather of such results. The
	// keeper then waits for its result only if the stage gathers.
	Round *Round
}

// When says how often a row's turn comes.
type When int

const (
	Once       When = iota // before the first round, with the base policy; the last such stage writes policy 0
	EachRound              // in every round from 0 on, with policy r; the last such stage writes policy r+1
	EachPolicy             // beside the line, for every policy from Base on; only the end of the run waits for it
)

// Round is a set of tasks that the keeper writes and gathers.
type Round struct {
	Task     string   // record of the tasks
	Result   string   // record that the keeper waits for, one per task: the row's own, or that of a stage behind it
	Items    Items    // what the tasks hold
	Title    string   // what the round does, for people; unless it comes Once, the name of its policy follows
	Settings []string // "line.key": settings of the keeper that decide how the tasks are cut
}

// Items says what the tasks of a round hold. The keeper makes them: items.go.
type Items int

const (
	Shards   Items = iota // the shards of the dataset, one per task
	Buffer                // the examples of the replay buffer, line.batch_rows per task
	Selected              // the examples that the round's selection names, one per task
	HeldOut               // the examples to evaluate, line.batch_rows per task
)

// Base is the round of the base policy, before anything was trained.
const Base = -1

// Stages are the stages of the table, in its order.
func (t Table) Stages() []stages.Stage {
	all := make([]stages.Stage, len(t))
	for i, row := range t {
		all[i] = row.Stage
	}
	return all
}

// Drain orders the stages as a worker of several should serve them: later stages of the line first, so
// that a round's items go through to its end instead of piling up in front of a stage. What comes beside
// the line, and stages that the line does not have, are last: no other stage waits for them.
func Drain(all []stages.Stage) []stages.Stage {
	table := Rows(nil)
	priority := func(s stages.Stage) int {
		i := slices.IndexFunc(table, func(row Row) bool { return row.Spec().Name == s.Spec().Name })
		if i < 0 || table[i].When == EachPolicy {
			return -1
		}
		return i
	}
	all = slices.Clone(all)
	slices.SortStableFunc(all, func(x, y stages.Stage) int { return priority(y) - priority(x) })
	return all
}

// Gathers reports whether the stage of this name works on whole rounds: one long item at a time.
func (t Table) Gathers(stage string) bool {
	return slices.ContainsFunc(t, func(row Row) bool { return row.Spec().Name == stage && row.Spec().Gather })
}

// Records are the records that the stages write, each once, in the order of the line.
func (t Table) Records() []string {
	var all []string
	for _, row := range t {
		if record := row.Spec().Writes; !slices.Contains(all, record) {
			all = append(all, record)
		}
	}
	return all
}

// Maker returns the row whose stage writes the record in this round. ok is false if no stage
// does: the keeper writes the base policy.
func (t Table) Maker(record string, round int) (row Row, ok bool) {
	for _, row := range t {
		if row.Spec().Writes == record && row.writesIn(round) {
			return row, true
		}
	}
	return Row{}, false
}

func (r Row) writesIn(round int) bool {
	if r.Spec().NextRound {
		round--
	}
	switch r.When {
	case Once:
		return round == 0
	case EachRound:
		return round >= 0
	}
	return round >= Base
}

// Settings are the parts of the configuration that the row's results depend on, beside those of
// the rows before it: "section" or "section.key".
func (r Row) Settings() []string {
	own := []string{r.Spec().Name}
	if r.Spec().Judges {
		own = append(own, "judge")
	}
	if r.Spec().Asks {
		own = append(own, "engine")
	}
	if r.Round == nil {
		return own
	}
	return append(own, r.Round.Settings...)
}
