// Package expand searches for answers to one example: a tree of the policy's own
// continuations, grown by MCTS, in which filter finds pairs.
//
// One example comes in; the whole tree goes out, one row per node. Package search is
// the algorithm and knows no model. fragment.go decides where a fragment of an answer
// ends. This file connects both with the engine.
//
// An example is rejected if another chat template rendered it, if its answers cannot
// be judged, or if its tree does not fit into the engine's cache.
package expand

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"

	"itool/schemas"
	"itool/stages"
	"itool/stages/expand/search"
	"itool/stages/judge"
	"itool/stages/policy"
)

// Stage grows one tree per item.
type Stage struct {
	engine *policy.Engine

	// The weight of the self-evaluation is in the round's selection. That record has a
	// row per example, so it is read once a round and not once a tree.
	mu     sync.Mutex
	round  string
	weight float64
}

// New returns the stage; it opens policies through engine.
func New(engine *policy.Engine) *Stage { return &Stage{engine: engine} }

// Spec implements stages.Stage.
func (*Stage) Spec() stages.Spec {
	return stages.Spec{
		Name: "expand", Wakes: schemas.RecordRoot, Reads: schemas.Example{}.Schema(),
		Also:   []string{schemas.RecordSelection},
		Writes: schemas.RecordCandidate, Schema: schemas.Candidate{}.Schema(),
		Judges: true, Asks: true,
	}
}

// Process searches from the one example of the item.
func (s *Stage) Process(ctx context.Context, in stages.Input, out stages.Output) error {
	cfg, err := stages.Config(in, Default())
	if err != nil {
		return err
	}
	ex, err := stages.One[schemas.Example](in.Batches)
	if err != nil {
		return err
	}
	g, err := s.grower(ctx, in, cfg, &ex)
	if err != nil {
		return err
	}
	oracle, p := g.search(in.Header.Seed)
	tree, err := search.Search(ctx, oracle, p, func(at search.Progress) bool {
		out.Progress(at.Iteration, p.Iterations, "iterations",
			fmt.Sprintf("%d nodes, %d of %d answers pass", at.Nodes, at.Passing, at.Finished))
		return true
	})
	if errors.Is(err, policy.ErrFull) { // the same seed would fill it again
		return stages.Reject(fmt.Errorf("expand: example %s: %w: lower expand.token_budget, width or iterations",
			ex.ID, err))
	}
	if err != nil {
		return fmt.Errorf("expand: example %s: %w", ex.ID, err)
	}
	return stages.Result(in, out, g.rows(tree))
}

// Oracle returns what Process passes to search.Search for one example, for programs that
// show how a tree grows. It is good for one search.
func (s *Stage) Oracle(in stages.Input, cfg Config, ex *schemas.Example) (search.Oracle, search.Params, error) {
	g, err := s.grower(context.Background(), in, cfg, ex) // only a server's answer is waited for with it
	if err != nil {
		return search.Oracle{}, search.Params{}, err
	}
	oracle, p := g.search(in.Header.Seed)
	return oracle, p, nil
}

// grower answers the search's questions about one example.
type grower struct {
	cfg     Config
	ex      *schemas.Example
	p       *policy.Policy
	session *policy.Session
	exam    *judge.Examiner
	own     stages.Judge         // nil: exam decides
	self    *judge.SelfEvaluator // nil: C does not count
	weight  float64              // of C
	places  []place              // by Fragment.Handle; 0 is the root
	faults  map[int]string       // error type by node
}

// place is a node's end in the session's cache, with the scanner's state there.
type place struct {
	branch policy.Branch
	scan   scanner
}

func (s *Stage) grower(ctx context.Context, in stages.Input, cfg Config, ex *schemas.Example) (*grower, error) {
	p, err := s.engine.Ask(ctx, in.Engine, in.PolicyDigest, in.Policy)
	if err != nil {
		return nil, err
	}
	if err := judge.CheckTemplate(p, ex); err != nil {
		return nil, stages.Reject(fmt.Errorf("expand: %w", err))
	}
	g := &grower{cfg: cfg, ex: ex, p: p, own: in.Judge, faults: map[int]string{}}
	if g.exam, err = judge.NewExaminer(ex); err != nil {
		return nil, stages.Reject(fmt.Errorf("expand: %w", err))
	}
	if g.weight, err = s.judgeWeight(in); err != nil {
		return nil, err
	}
	if g.weight != 0 && !cfg.whole() {
		if g.self, err = judge.NewSelfEvaluator(p); err != nil {
			return nil, stages.Reject(fmt.Errorf("expand: %w", err))
		}
	}
	if g.session, err = p.NewSession(ex.PromptIDs); err != nil {
		if errors.Is(err, policy.ErrTooLong) {
			err = stages.Reject(err)
		}
		return nil, fmt.Errorf("expand: example %s: %w", ex.ID, err)
	}
	g.places = []place{{branch: g.session.Root()}}
	return g, nil
}

// search returns the arguments of the example's search; seed is the item's.
func (g *grower) search(seed uint64) (search.Oracle, search.Params) {
	p := g.cfg.params(fragments(g.ex.AnswerIDs, g.p.TokenBytes), stages.Seed(seed, "expand/search", 0))
	return search.Oracle{Draw: g.draw, Evaluate: g.evaluate, Ahead: drawAhead}, p
}

// drawAhead is search.Oracle.Ahead. Where other trees draw in the same batch it is full without that, and
// draws that may not be needed would only cost time: they share the number.
const drawAhead = 16

// judgeWeight reads from the round's selection whether the self-evaluation counts.
func (s *Stage) judgeWeight(in stages.Input) (float64, error) {
	round := fmt.Sprintf("%s %s %d %s", in.Header.Run, in.Header.Config, in.Header.Round, in.PolicyDigest)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.round == round {
		return s.weight, nil
	}
	rows, err := stages.Rows[schemas.Selection](in.Round(schemas.RecordSelection, in.Header.Round))
	if err != nil || len(rows) == 0 {
		return 0, err
	}
	s.round, s.weight = round, rows[0].JudgeWeight
	return s.weight, nil
}

// draw continues all requests in one batch. A roll-out is one draw that is cut into
// fragments afterwards, since the engine can branch from any token of a draw.
func (g *grower) draw(ctx context.Context, tree *search.Tree, requests []search.Request) ([][]search.Fragment, error) {
	paths := make([][]search.Fragment, len(requests))
	room, most := g.roomAhead(tree), drawAhead/(1+g.session.Others())
	reqs, cuts := make([]policy.Request, 0, len(requests)), make([]*cutter, 0, len(requests))
	for i, r := range requests {
		node := &tree.Nodes[r.Node]
		at, limit := g.places[node.Handle], max(1, g.longest()-node.Length)
		if r.Ahead && (room < limit || len(reqs) >= most) {
			continue
		}
		if r.Ahead {
			room -= limit
		}
		c := &cutter{g: g, request: r, scan: at.scan, path: &paths[i]}
		cuts = append(cuts, c)
		reqs = append(reqs, policy.Request{
			From: at.branch, Seed: r.Seed, Temperature: r.Temperature, MaxTokens: limit, Stop: c.stop, Done: c.done,
		})
	}
	draws, err := g.session.Draw(ctx, reqs)
	if err != nil {
		return nil, err
	}
	for i, c := range cuts {
		if *c.path == nil && !c.needless {
			c.done(&draws[i]) // there was no room for a token
		}
	}
	return paths, nil
}

// longest is the most tokens of an answer. There must be room for an answer as long as the
// reference, or none could pass.
func (g *grower) longest() int { return max(g.cfg.MaxAnswerTokens, len(g.ex.AnswerIDs)) }

// roomAhead is the number of tokens that may be drawn ahead. What the search may still draw
// without that must have room in the session: drawing ahead must not fill it.
func (g *grower) roomAhead(tree *search.Tree) int {
	if g.cfg.TokenBudget == 0 {
		return 0
	}
	// Iterations begin below the budget; each draws at most width × 4 fragments and width answers.
	overshoot := max(1, g.cfg.Leaves) * 5 * g.cfg.Width * g.longest()
	return g.session.Room() - max(0, g.cfg.TokenBudget-tree.Tokens) - overshoot
}

// cutter follows one request while it is drawn, and cuts the draw into fragments.
type cutter struct {
	g        *grower
	request  search.Request
	path     *[]search.Fragment // the result
	needless bool               // the draw was given up

	tokens int
	scan   scanner
	ends   []int     // tokens up to the end of each fragment
	scans  []scanner // the scanner there
}

// stop is policy.Request.Stop.
func (c *cutter) stop(id int32) bool {
	if c.request.Needed != nil && !c.request.Needed() {
		c.needless = true
		return true
	}
	c.tokens++
	if c.g.cfg.whole() || !c.scan.feed(c.g.p.TokenBytes(id)) {
		return false
	}
	c.ends, c.scans = append(c.ends, c.tokens), append(c.scans, c.scan)
	return len(c.ends) == c.request.Fragments
}

// done is policy.Request.Done.
func (c *cutter) done(d *policy.Draw) {
	if c.needless {
		return
	}
	*c.path = c.g.split(d, c.ends, c.scans)
	if c.request.Ready != nil {
		c.request.Ready(*c.path)
	}
}

// split cuts a draw into fragments and keeps their places.
func (g *grower) split(d *policy.Draw, ends []int, scans []scanner) []search.Fragment {
	var path []search.Fragment
	from := 0
	for k, end := range ends {
		if end > len(d.Tokens) || (end == len(d.Tokens) && d.Reason == policy.ReasonEndOfTurn) {
			break // the token that ends the turn also ends this fragment: it is the last one
		}
		path = append(path, g.fragment(d, from, end, scans[k]))
		from = end
	}
	cut := d.Reason == policy.ReasonLength
	switch {
	case d.Reason == policy.ReasonStop:
		return path
	case from < len(d.Tokens):
		path = append(path, g.fragment(d, from, len(d.Tokens), scanner{}))
	case len(path) == 0: // no room for a single token
		path = append(path, search.Fragment{})
	}
	path[len(path)-1].Terminal, path[len(path)-1].Cut = true, cut
	return path
}

func (g *grower) fragment(d *policy.Draw, from, end int, scan scanner) search.Fragment {
	var sum float64
	for _, l := range d.LogProbs[from:end] {
		sum += float64(l)
	}
	g.places = append(g.places, place{d.At(end), scan})
	return search.Fragment{
		Tokens: d.Tokens[from:end:end], LogProb: sum / float64(end-from), Handle: int64(len(g.places) - 1),
	}
}

// evaluate is Eq. 6 at the ends of roll-outs: O and, if it counts, C.
func (g *grower) evaluate(ctx context.Context, tree *search.Tree, ends []int) ([]search.Reward, error) {
	answers := make([]string, len(ends))
	var tokens []int32
	for i, end := range ends {
		tokens = tree.Prefix(tokens[:0], end)
		answers[i] = g.p.Text(tokens)
	}
	rewards, err := g.outcomes(ctx, tree, ends, answers)
	if err != nil || g.self == nil {
		return rewards, err
	}
	for i := range ends {
		reading, err := g.self.Evaluate(ctx, g.ex, answers[i], g.cfg.SelfEvalReference)
		if errors.Is(err, policy.ErrTooLong) {
			continue // no room for the judging prompt: C stays 0
		}
		if err != nil {
			return nil, err
		}
		rewards[i].SelfEval = g.weight * reading.C
	}
	return rewards, nil
}

// outcomes is O at the ends of roll-outs; it is 0 where the answer goes on.
func (g *grower) outcomes(
	ctx context.Context, tree *search.Tree, ends []int, answers []string,
) ([]search.Reward, error) {
	results, graded := make([]judge.Result, len(ends)), make([]float64, len(ends))
	for i, end := range ends {
		if node := &tree.Nodes[end]; node.Terminal {
			results[i], graded[i] = g.exam.Graded(answers[i], node.Cut)
		}
	}
	if g.own != nil {
		if err := g.overrule(ctx, tree, ends, answers, results, graded); err != nil {
			return nil, err
		}
	}
	rewards := make([]search.Reward, len(ends))
	for i, end := range ends {
		if !tree.Nodes[end].Terminal {
			continue
		}
		rewards[i] = search.Reward{Outcome: graded[i], Pass: results[i].Pass}
		if g.cfg.Outcome == OutcomeStrict {
			rewards[i].Outcome = results[i].Strict()
		}
		if !results[i].Pass {
			g.faults[end] = results[i].ErrorType
		}
	}
	return rewards, nil
}

// overrule asks the judge of the user's own about the answers that came to their end.
func (g *grower) overrule(
	ctx context.Context, tree *search.Tree, ends []int, answers []string, results []judge.Result, graded []float64,
) error {
	var asked []int
	var questions []stages.Question
	for i, end := range ends {
		if node := &tree.Nodes[end]; node.Terminal && !node.Cut {
			asked = append(asked, i)
			questions = append(questions, stages.Question{Example: g.ex, Answer: answers[i]})
		}
	}
	if len(asked) == 0 {
		return nil
	}
	said, err := judge.Ask(ctx, g.own, questions)
	if err != nil {
		return err
	}
	for k, i := range asked {
		results[i], graded[i] = results[i].Overruled(said[k]), said[k].Score
	}
	return nil
}

// rows writes the tree, one row per node, the root first.
func (g *grower) rows(tree *search.Tree) []schemas.Candidate {
	rows := make([]schemas.Candidate, len(tree.Nodes))
	for i := range tree.Nodes {
		n := &tree.Nodes[i]
		rows[i] = schemas.Candidate{
			Node: int32(i), Parent: int32(n.Parent), Tokens: n.Tokens, Text: text(g.p, n.Tokens),
			LogProb: n.LogProb, Prior: n.Prior,
			Visits: int32(n.N), Q: n.Q, V: n.V, Reward: n.Reward, Outcome: n.Outcome, SelfEval: n.SelfEval,
			Terminal: n.Terminal, Cut: n.Cut, Pass: n.Pass, ErrorType: g.faults[i], ExampleID: g.ex.ID,
		}
	}
	if g.cfg.Preset == PresetSamples {
		for i := range rows[1:] { // LogProb is a mean per token
			rows[i+1].Q = math.Exp(rows[i+1].LogProb * float64(len(rows[i+1].Tokens)))
		}
	}
	root := &rows[0]
	root.Tokens, root.Text = g.ex.PromptIDs, ""
	root.Tools, root.Reference, root.Acceptable = g.ex.Tools, g.ex.Reference, g.ex.Acceptable
	root.Category, root.Calls = g.ex.Category, g.ex.Calls
	return rows
}

// text is a fragment for people. It can begin or end inside a character, which then
// becomes a replacement character.
func text(p *policy.Policy, tokens []int32) string { return strings.ToValidUTF8(p.Text(tokens), "�") }
