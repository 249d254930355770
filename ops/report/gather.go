package report

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"sort"
	"strconv"

	"itool/broker"
	"itool/ops/courier"
	"itool/ops/dataset"
	"itool/ops/line"
	"itool/schemas"
	"itool/stages/split"
	"itool/storage"
)

// Gather reads the records of a run. It may be called while the run goes on; results that do
// not exist yet are left out. broker.ErrNoRun: the run has no stream.
func Gather(ctx context.Context, c *courier.Courier, run string) (*Report, error) {
	g := &gatherer{c: c, run: run, r: &Report{Run: run}, verdicts: map[int][]schemas.Verdict{}}
	for _, step := range []func(context.Context) error{
		g.readRun, g.readExamples, g.readPolicies, g.readRounds, g.readVerdicts, g.readFailures, g.readTimes,
	} {
		if err := step(ctx); err != nil {
			return nil, fmt.Errorf("report of run %s: %w", run, err)
		}
	}
	g.r.completeFunnels()
	g.r.evaluatePolicies(g.verdicts)
	g.r.diagnose()
	return g.r, nil
}

type gatherer struct {
	c        *courier.Courier
	run      string
	r        *Report
	verdicts map[int][]schemas.Verdict // by round
}

// readRun reads how the run was started and how it ended.
func (g *gatherer) readRun(ctx context.Context) error {
	r, _, err := g.c.Description(ctx, g.run)
	if err != nil {
		return err
	}
	g.r.Created, g.r.Seed = r.Created, r.Seed
	g.r.Config, g.r.ConfigDigest = json.RawMessage(r.Config), r.ConfigDigest
	if g.r.Base, err = g.c.BaseName(ctx, g.run); err != nil {
		return err
	}
	shards, files, err := datasets(r)
	if err != nil {
		return err
	}
	g.r.Datasets = files
	for _, s := range shards {
		if err := g.readNotes(ctx, &g.r.Datasets[s.file], s.Key); err != nil {
			return err
		}
	}
	end, err := g.c.End(ctx, g.run)
	if errors.Is(err, broker.ErrNotExist) {
		g.r.Status = running
		status, err := line.ReadStatus(ctx, g.c, g.run)
		view := line.View{Status: status}
		g.r.Stalled, g.r.Waiting = view.Stalled(), view.Waits()
		return err
	}
	g.r.Status, g.r.Detail = end.Status, end.Detail
	return err
}

// shardOf is a shard and the place of its file.
type shardOf struct {
	schemas.Shard
	file int
}

// datasets returns the shards of a run and the files that they are cut from.
func datasets(r schemas.Run) (of []shardOf, files []Dataset, err error) {
	var shards []schemas.Shard
	if err := json.Unmarshal([]byte(r.Dataset), &shards); err != nil {
		return nil, nil, fmt.Errorf("run record: dataset: %w", err)
	}
	for _, s := range shards {
		if n := len(files); n > 0 && files[n-1].SHA256 == s.SHA256 && s.First > 0 {
			files[n-1].Rows += int(s.Rows)
		} else {
			files = append(files, Dataset{Name: s.Name, Format: s.Format, SHA256: s.SHA256, Rows: int(s.Rows)})
		}
		of = append(of, shardOf{s, len(files) - 1})
	}
	return of, files, nil
}

// Published says what the files of a run were read as, a sentence each.
func Published(r schemas.Run) ([]string, error) {
	_, files, err := datasets(r)
	return (&Report{Datasets: files}).DatasetNotes(), err
}

// readNotes adds what split noted of a shard.
func (g *gatherer) readNotes(ctx context.Context, file *Dataset, key string) error {
	text, err := g.c.Attached(ctx, g.run, "split", 0, key, split.NotesFile)
	if errors.Is(err, storage.ErrNotExist) {
		return nil
	}
	var notes split.Notes
	if err == nil {
		err = json.Unmarshal(text, &notes)
	}
	if err != nil {
		return fmt.Errorf("notes of shard %s: %w", key, err)
	}
	if file.Notes == nil {
		file.Notes = &split.Notes{}
	}
	file.Notes.Add(notes)
	return nil
}

// eachBatch visits all results of one record in one round, in key order. Only one batch at a
// time is in memory. What is no item of the round is left out, and what cannot be read; both are counted.
func eachBatch[R schemas.Record](ctx context.Context, g *gatherer, record string, round int, visit func([]R)) error {
	keys, err := g.keys(ctx, record, round)
	if err != nil {
		return err
	}
	for _, key := range keys {
		rows, _, err := courier.Rows[R](ctx, g.c, g.run, record, round, key)
		var infra *courier.InfraError
		var newer *schemas.NewerError
		switch {
		case errors.Is(err, broker.ErrNotExist): // a keeper has refused it since it was listed
		case errors.As(err, &infra), errors.As(err, &newer), errors.Is(err, broker.ErrNoRun), ctx.Err() != nil:
			return err
		case err != nil:
			g.r.Unreadable = append(g.r.Unreadable, err.Error())
		default:
			visit(rows)
		}
	}
	return nil
}

// keys are those of the results that are in the stream and in the round's manifest.
func (g *gatherer) keys(ctx context.Context, record string, round int) ([]string, error) {
	keys, err := g.c.Broker.Keys(ctx, g.run, record, round)
	if err != nil {
		return nil, err
	}
	result, _ := line.Rows(nil).Awaits(record)
	manifest := []schemas.Manifest{{Key: record}} // of a stage that gathers
	if result != "" {
		manifest, _, err = courier.Rows[schemas.Manifest](ctx, g.c, g.run, schemas.RecordManifest, round, result)
		if errors.Is(err, broker.ErrNotExist) {
			return keys, nil
		}
		if err != nil {
			return nil, err
		}
	}
	items := make(map[string]bool, len(manifest))
	for _, m := range manifest {
		items[m.Key] = true
	}
	n := len(keys)
	keys = slices.DeleteFunc(keys, func(key string) bool { return !items[key] })
	g.r.Foreign += n - len(keys)
	return keys, nil
}

// readExamples counts the rows of the dataset.
func (g *gatherer) readExamples(ctx context.Context) error {
	rows := Rows{
		Dropped: map[string]int{}, Example: map[string]Row{},
		Parts: map[string]int{}, Difficulty: map[string]int{}, Numbers: dataset.NewNumbers(),
	}
	err := eachBatch(ctx, g, schemas.RecordExample, 0, func(examples []schemas.Example) {
		for i := range examples {
			rows.add(&examples[i])
		}
	})
	rows.Numbers.Finish()
	g.r.Rows = rows
	return err
}

func (r *Rows) add(e *schemas.Example) {
	r.Total++
	r.Numbers.Add(e)
	if e.Part == schemas.PartDropped {
		if r.Dropped[e.Reason]++; r.Dropped[e.Reason] == 1 {
			r.Example[e.Reason] = Row{e.Source, int(e.Row), e.Detail}
		}
		return
	}
	r.Kept++
	r.Parts[e.Part]++
	if e.Part == schemas.PartTrain {
		r.Difficulty[e.Difficulty]++
	}
	if e.Replay {
		r.Replay++
	}
}

// readPolicies reads the policies in order, from the base to the last that exists.
func (g *gatherer) readPolicies(ctx context.Context) error {
	for round := -1; ; round++ {
		p, err := g.c.Policy(ctx, g.run, round)
		if errors.Is(err, broker.ErrNotExist) {
			return nil
		}
		var infra *courier.InfraError
		var newer *schemas.NewerError
		switch {
		case errors.As(err, &infra), errors.As(err, &newer), errors.Is(err, broker.ErrNoRun), ctx.Err() != nil:
			return err
		case err != nil:
			g.r.Unreadable = append(g.r.Unreadable, err.Error())
			return nil
		}
		g.r.Policies = append(g.r.Policies, Policy{
			Round: round, Name: PolicyName(round), Digest: p.Checkpoint, Status: p.Status, Detail: p.Detail,
			Steps: int(p.Steps), Examples: int(p.Examples), Metrics: metrics(p.Metrics), Curve: curve(p.Curve),
		})
	}
}

// metrics keeps the finite numbers. A worker of another language may add other values.
func metrics(text string) map[string]float64 {
	var all map[string]any
	_ = json.Unmarshal([]byte(text), &all)
	m := map[string]float64{}
	for k, v := range all {
		if x, ok := v.(float64); ok && !math.IsInf(x, 0) && !math.IsNaN(x) {
			m[k] = x
		}
	}
	return m
}

func curve(text string) []Point {
	var points []Point
	_ = json.Unmarshal([]byte(text), &points)
	return points
}

// readRounds reads the funnel of every round that has begun.
func (g *gatherer) readRounds(ctx context.Context) error {
	cfg := g.r.search()
	for _, p := range g.r.Policies {
		if p.Round < 0 {
			continue
		}
		rd := Round{
			Round: p.Round, Mode: cfg.Filter.Mode, unfinishedToo: cfg.Filter.Unfinished,
			PairsReason: map[string]int{}, Kinds: map[string]int{}, KindsProven: map[string]int{},
		}
		if err := g.readRound(ctx, &rd); err != nil {
			return err
		}
		if rd.Scored > 0 {
			g.r.Rounds = append(g.r.Rounds, rd)
		}
	}
	return nil
}

func (g *gatherer) readRound(ctx context.Context, rd *Round) error {
	nats, answered := 0.0, map[string]schemas.Score{}
	if err := eachBatch(ctx, g, schemas.RecordScore, rd.Round, func(rows []schemas.Score) {
		for _, s := range rows {
			rd.Scored++
			nats += math.Log(s.Perplexity)
			if s.Answered || s.Draws > 0 {
				answered[s.ExampleID] = s
			}
		}
	}); err != nil || rd.Scored == 0 {
		return err
	}
	rd.Perplexity = math.Exp(nats / float64(rd.Scored))
	if err := eachBatch(ctx, g, schemas.RecordSelection, rd.Round, func(rows []schemas.Selection) {
		for _, s := range rows {
			if s.Selected {
				rd.Selected++
				rd.addAnswers(answered[s.ExampleID])
			}
		}
		if len(rows) > 0 {
			rd.Judge, rd.Headroom = judgeOf(rows[0]), headroomOf(rows[0])
			rd.Lengths = lengthsOf(rows[0], g.r.bars().Expand.MaxAnswerTokens)
		}
	}); err != nil {
		return err
	}
	if err := eachBatch(ctx, g, schemas.RecordCandidate, rd.Round, rd.addTree); err != nil {
		return err
	}
	return eachBatch(ctx, g, schemas.RecordPair, rd.Round, rd.addPairs)
}

func judgeOf(s schemas.Selection) *Judge {
	j := &Judge{Counts: s.JudgeWeight > 0, Reason: s.JudgeReason}
	if !math.IsNaN(s.JudgeAUC) {
		j.AUC = &s.JudgeAUC
	}
	if !math.IsNaN(s.JudgeMass) {
		j.Mass = &s.JudgeMass
	}
	return j
}

// addTree adds one search tree to the funnel.
func (rd *Round) addTree(nodes []schemas.Candidate) {
	finished := make([]bool, len(nodes)) // the node is a terminal, or above one
	children := make([]int, len(nodes))  // number of finished children, or of all if unfinished ones count
	inner := make([]bool, len(nodes))    // the node has children
	passing, failing := 0, 0
	for i, n := range slices.Backward(nodes) { // children come after their parents
		finished[i] = finished[i] || n.Terminal
		if p := int(n.Parent); p >= 0 && p < i {
			inner[p] = true
			finished[p] = finished[p] || finished[i]
			if finished[i] || rd.unfinishedToo {
				children[p]++
			}
		}
		if i > 0 && !inner[i] && !n.Terminal {
			rd.Unfinished++
		}
		if n.Terminal && n.Cut {
			rd.Cut++
		}
		switch {
		case !n.Terminal:
		case n.Pass:
			passing++
		default:
			failing++
		}
	}
	rd.Trees++
	rd.Nodes += len(nodes)
	rd.Passing += passing
	rd.Terminals += passing + failing
	if passing > 0 && failing > 0 {
		rd.MixedTrees++
	}
	for _, n := range children {
		if n >= 2 {
			rd.Branching++
		}
	}
}

// readVerdicts reads the verdicts of every policy.
func (g *gatherer) readVerdicts(ctx context.Context) error {
	for _, p := range g.r.Policies {
		if err := eachBatch(ctx, g, schemas.RecordVerdict, p.Round, func(rows []schemas.Verdict) {
			g.verdicts[p.Round] = append(g.verdicts[p.Round], rows...)
		}); err != nil {
			return err
		}
	}
	return nil
}

// readTimes adds up the seconds that the workers measured.
func (g *gatherer) readTimes(ctx context.Context) error {
	workers := map[string]bool{}
	table := line.Rows(nil)
	for _, record := range table.Records() {
		times := map[string]StageTime{} // by stage: two stages write policies
		for m, err := range g.c.Broker.List(ctx, g.run, record+".*.*") {
			if err != nil {
				return err
			}
			maker, made := table.Maker(record, m.Round)
			if !made {
				continue // the keeper copies the base; no worker computes it
			}
			if w := m.Header["itool-worker"]; w != "" {
				workers[w] = true
			}
			seconds, _ := strconv.ParseFloat(m.Header[courier.HeaderSeconds], 64)
			t := times[maker.Spec().Name]
			t.Stage, t.Items, t.Seconds = maker.Spec().Name, t.Items+1, t.Seconds+seconds
			times[t.Stage] = t
		}
		for _, row := range table {
			if t, ok := times[row.Spec().Name]; ok {
				g.r.Seconds = append(g.r.Seconds, t)
			}
		}
	}
	for w := range workers {
		g.r.Workers = append(g.r.Workers, w)
	}
	sort.Strings(g.r.Workers)
	return nil
}
