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

// tree is one search as the expand stage runs it, with self-evaluation. Its seed makes it the
// same each time.
type tree struct {
	p      *policy.Policy
	stage  *expand.Stage
	in     stages.Input
	config expand.Config
	ex     schemas.Example
	calls  trace // the calls of the search to the engine
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

// selection reads a selection record in which the self-evaluation counts.
func selection(string, int) iter.Seq2[schemas.Batch, error] {
	return func(yield func(schemas.Batch, error) bool) {
		yield(schemas.Encode(schemas.Header{}, []schemas.Selection{{JudgeWeight: 1}}))
	}
}

// longAnswer is in bytes: about three or four calls.
const longAnswer = 120

// example is a conversation of the demo's data that ends with a request for several calls. It gets
// tools of later conversations in addition to its own, until its prompt has at least the given
// number of tokens.
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
	return ex, fmt.Errorf("all tools make a prompt of %d tokens, want %d", len(ex.PromptIDs), prompt)
}

// render fills in the example's messages, tools and prompt.
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

// grow runs the search. watch may wrap the oracle that the search calls; it may be nil.
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

// call is one call to the engine after a context. Either it draws tokens one after the other, or
// it reads the probabilities of several tokens as the next one.
type call struct {
	Context []int32 `json:"context"`
	Tokens  []int32 `json:"tokens"`
	Draws   bool    `json:"draws"`
	logProb float64 // the engine's result: the sum over Tokens
}

// trace holds all calls of a search. The calls of one list were made together.
type trace [][]call

// record runs the search once and records its calls.
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

// tolerance is the allowed mean difference of a token's log-probability between the engine and
// llama.cpp, in nats. llama.cpp rounds activations to bf16.
const tolerance = 3e-2

// same compares the peer's sums of log-probabilities, call by call, with the engine's. It returns
// an error if the peer did other work.
func (calls trace) same(theirs []float64) error {
	off, tokens, n := 0.0, 0, 0
	for _, c := range slices.Concat(calls...) {
		if n == len(theirs) {
			return fmt.Errorf("the peer answers only the first %d calls", n)
		}
		off += math.Abs(theirs[n] - c.logProb)
		tokens += len(c.Tokens)
		n++
	}
	if !(off <= tolerance*float64(tokens)) {
		return fmt.Errorf("the peer's log-probabilities differ by %.3g nats per token, %g is allowed",
			off/float64(tokens), tolerance)
	}
	return nil
}

// size counts the tokens that a search drew, the contexts whose next token it read, and the
// unique tokens. Unique tokens must be computed by any search: the prompt once, and each token of
// a path or of a judging prompt once. They are the nodes of the trie of all sequences. The
// letters that are read after a judging prompt do not count, because its last token gives the
// probabilities of all of them.
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

// search is the job of a tree, which the peer repeats.
func (b *bench) search(p *policy.Policy, s sizes) (side, error) {
	t, err := b.newTree(p, s)
	if err != nil {
		return side{}, err
	}
	return side{do: func() error { return t.grow(b.ctx, nil) }, tree: t}, nil
}

// ownStreams compares a tree with the engine itself: the time that the tree's unique tokens would
// take at the rate of 32 streams after the tree's prompt.
const ownStreams = "its unique tokens ÷ the engine's rate of 32 streams"

// overhead measures the row of ownStreams: the time of the tree as a multiple of that time. The
// streams use a high temperature, otherwise most would end after a few tokens.
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
	r.title += fmt.Sprintf(" (%d tokens drawn, %d judging prompts, %d unique tokens): its time as a multiple",
		drawn, reads, unique)
	return r.line(r.peer, "≤ "+r.bar, ratios(mine, theirs), mine, theirs), nil
}
