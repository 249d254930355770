package main

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"math"
	"os"
	"slices"

	"itool/ops/pretrain"
	"itool/ops/synth"
	"itool/schemas"
	"itool/stages"
	"itool/stages/expand"
	"itool/stages/expand/search"
	"itool/stages/judge"
	"itool/stages/policy"
)

// tree is one search as the expand stage runs it, with self-evaluation. By its seed it is
// the same each time.
type tree struct {
	p      *policy.Policy
	stage  *expand.Stage
	in     stages.Input
	config expand.Config
	ex     schemas.Example
	calls  trace // what the search asks
}

func (b *bench) newTree(p *policy.Policy, s sizes) (*tree, error) {
	folder, err := b.checkpoint(base)
	if err != nil {
		return nil, err
	}
	engine, err := policy.NewEngine(policy.Options{Device: b.dev})
	if err != nil {
		return nil, err
	}
	t := &tree{p: p, stage: expand.New(engine), config: expand.Default()}
	t.config.Width, t.config.Iterations = s.Width, s.Iterations
	t.in = stages.Input{PolicyDigest: "base", Policy: os.DirFS(folder), Round: selection}
	if t.ex, err = example(p, s.Prompt); err != nil {
		return nil, err
	}
	return t, t.record(b.ctx)
}

// selection is a round's record in which the self-evaluation counts.
func selection(string, int) iter.Seq2[schemas.Batch, error] {
	return func(yield func(schemas.Batch, error) bool) {
		yield(schemas.Encode(schemas.Header{}, []schemas.Selection{{JudgeWeight: 1}}))
	}
}

// longAnswer is in bytes: three calls or four.
const longAnswer = 120

// example is a conversation of the demo's world that ends in a request for some calls, with the tools of
// later ones behind its own, so many that the prompt is as long as asked for, or a little longer.
func example(p *policy.Policy, prompt int) (schemas.Example, error) {
	c := synth.Default()
	c.Rows, c.Turns, c.Tools, c.Fold, c.Folds = 100, 8, 8, 1, pretrain.Folds
	rows, err := synth.Make(c)
	if err != nil {
		return schemas.Example{}, err
	}
	ex := schemas.Example{ID: "tree", Calls: 1, Template: p.TemplateHash()}
	var ask []policy.Message
	var tools []json.RawMessage
	for row := range rows {
		if ask == nil && len(row.Answer()) < longAnswer {
			continue
		}
		if ask == nil {
			ex.Reference, ex.AnswerIDs = row.Answer(), p.Answer(row.Answer())
			for _, m := range row.Messages[:len(row.Messages)-1] {
				ask = append(ask, policy.Message(m))
			}
		}
		var more []json.RawMessage
		if err := json.Unmarshal(row.Tools, &more); err != nil {
			return ex, err
		}
		for _, tool := range more {
			tools = append(tools, tool)
			if err := render(p, &ex, ask, tools); err != nil || len(ex.PromptIDs) >= prompt {
				return ex, err
			}
		}
	}
	return ex, fmt.Errorf("all tools make a prompt of %d tokens, %d are asked for", len(ex.PromptIDs), prompt)
}

// render fills in what the example asks.
func render(p *policy.Policy, ex *schemas.Example, ask []policy.Message, tools []json.RawMessage) error {
	messages, err := json.Marshal(ask)
	if err != nil {
		return err
	}
	list, err := json.Marshal(tools)
	if err != nil {
		return err
	}
	ex.Messages, ex.Tools = string(messages), string(list)
	ex.PromptIDs, err = p.Prompt(ask, list)
	return err
}

// grow runs the search; watch may stand between it and what it asks.
func (t *tree) grow(ctx context.Context, watch func(search.Oracle) search.Oracle) error {
	oracle, params, err := t.stage.Oracle(t.in, t.config, &t.ex)
	if err != nil {
		return err
	}
	if watch != nil {
		oracle = watch(oracle)
	}
	_, err = search.Search(ctx, oracle, params, nil)
	return err
}

// call is one question to the engine: tokens drawn one after the other behind a context, or
// tokens whose probabilities are read, each directly behind it.
type call struct {
	Context []int32 `json:"context"`
	Tokens  []int32 `json:"tokens"`
	Draws   bool    `json:"draws"`
	logProb float64 // what the engine said: the sum over Tokens
}

// trace is all that a search asked. The calls of one list were issued together.
type trace [][]call

// record grows the tree once and writes down what it asks.
func (t *tree) record(ctx context.Context) error {
	self, err := judge.NewSelfEvaluator(t.p)
	if err != nil {
		return err
	}
	return t.grow(ctx, func(o search.Oracle) search.Oracle {
		return search.Oracle{
			Draw: func(ctx context.Context, at *search.Tree, requests []search.Request) ([][]search.Fragment, error) {
				paths, err := o.Draw(ctx, at, requests)
				var draws []call
				for i, path := range paths {
					draws = append(draws, drawn(at.Prefix(slices.Clone(t.ex.PromptIDs), requests[i].Node), path))
				}
				t.calls = append(t.calls, draws)
				return paths, err
			},
			Evaluate: func(ctx context.Context, at *search.Tree, ends []int) ([]search.Reward, error) {
				var reads []call
				for _, end := range ends {
					read, err := t.reads(ctx, self, t.p.Text(at.Prefix(nil, end)))
					if err != nil {
						return nil, err
					}
					reads = append(reads, read...)
				}
				t.calls = append(t.calls, reads)
				return o.Evaluate(ctx, at, ends)
			},
		}
	})
}

// drawn is the call that drew a path.
func drawn(context []int32, path []search.Fragment) call {
	c := call{Context: context, Draws: true}
	for _, f := range path {
		c.Tokens = append(c.Tokens, f.Tokens...)
		c.logProb += f.LogProb * float64(len(f.Tokens))
	}
	return c
}

// reads are the calls of one self-evaluation.
func (t *tree) reads(ctx context.Context, self *judge.SelfEvaluator, answer string) ([]call, error) {
	prompts, err := self.Prompts(&t.ex, answer, t.config.SelfEvalReference)
	if err != nil {
		return nil, err
	}
	letters := self.Letters()
	var reads []call
	for _, ids := range prompts {
		s, err := t.p.NewSession(ids)
		if err != nil {
			return nil, err
		}
		logps, err := s.Next(ctx, s.Root(), letters[:])
		if err != nil {
			return nil, err
		}
		c := call{Context: ids, Tokens: letters[:]}
		for _, l := range logps {
			c.logProb += float64(l)
		}
		reads = append(reads, c)
	}
	return reads, nil
}

// tolerance is by how many nats a token's log-probability may differ, on average, between
// the engine and llama.cpp, which rounds activations to bf16.
const tolerance = 3e-2

// same holds the peer's sums of log-probabilities, call by call, against the engine's: it
// did the same work.
func (calls trace) same(theirs []float64) error {
	off, tokens, n := 0.0, 0, 0
	for _, c := range slices.Concat(calls...) {
		if n == len(theirs) {
			return fmt.Errorf("the peer answers %d calls, not all", n)
		}
		off += math.Abs(theirs[n] - c.logProb)
		tokens += len(c.Tokens)
		n++
	}
	if !(off <= tolerance*float64(tokens)) {
		return fmt.Errorf("the peer's log-probabilities are off by %.3g nats a token, %g is allowed", off/float64(tokens), tolerance)
	}
	return nil
}

// size counts what a search asked: the calls, the tokens drawn, the contexts read, and the tokens that any
// search computes: the prompt once and each token of a path or of a judging prompt once,
// that is the nodes of the trie of all sequences. The letters that are read behind a judging
// prompt do not count: their probabilities all come from its last token.
func (calls trace) size() (drawn, reads, unique int) {
	type edge struct {
		from  int
		token int32
	}
	trie := map[edge]int{} // node 0 is the root
	for _, c := range slices.Concat(calls...) {
		ids := c.Context
		if c.Draws {
			drawn += len(c.Tokens)
			ids = slices.Concat(c.Context, c.Tokens)
		} else {
			reads++
		}
		at := 0
		for _, id := range ids {
			e := edge{at, id}
			if trie[e] == 0 {
				trie[e] = len(trie) + 1
			}
			at = trie[e]
		}
	}
	return drawn, reads, len(trie)
}

// search is a tree for the peer to repeat.
func (b *bench) search(p *policy.Policy, s sizes) (side, error) {
	t, err := b.newTree(p, s)
	if err != nil {
		return side{}, err
	}
	return side{do: func() error { return t.grow(b.ctx, nil) }, tree: t}, nil
}

// ownStreams is the peer of a tree that is the engine itself: the time that the tree's unique
// tokens take at the rate of 32 streams behind the tree's prompt.
const ownStreams = "its unique tokens ÷ the engine's rate of 32 streams"

// overhead measures the line of ownStreams: how many times as long as that the tree takes.
// Streams are hot, or most would end after a few tokens.
func (b *bench) overhead(r *row, p *policy.Policy, ours side, o options) (string, error) {
	wide := sizes{Sequences: 32, Tokens: 64}
	streams, err := b.streams(p, ours.tree.ex.PromptIDs, wide, 100)
	if err != nil {
		return "", err
	}
	drawn, reads, unique := ours.tree.calls.size()
	mine, theirs, err := alternate(o.turns, ours.do, func() (float64, error) {
		seconds, err := streams()
		return seconds / float64(wide.Sequences*wide.Tokens) * float64(unique), err
	})
	if err != nil {
		return "", err
	}
	r.title += fmt.Sprintf(" (%d tokens drawn, %d judging prompts, %d unique tokens): its time as a multiple", drawn, reads, unique)
	return r.line(r.peer, "≤ "+r.bar, ratios(mine, theirs), mine, theirs), nil
}
