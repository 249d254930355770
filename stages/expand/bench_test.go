package expand

import (
	"bufio"
	"context"
	"encoding/json"
	"iter"
	"os"
	"runtime"
	"testing"

	"itool/schemas"
	"itool/stages"
	"itool/stages/expand/search"
	"itool/stages/policy"
)

// BenchmarkTree grows a tree for each of eight rows of the demo's world with the demo's
// base, which answers a quarter of such rows rightly. sampled-tokens/s divides the
// sampled tokens, duplicates included, by the whole time of the trees, in which prompts,
// statistics and the judging of answers are included.
//
// testdata/rows.jsonl are the first eight rows with calls of
// itool synth --rows 24 --seed 5 --any-order --folds 3 --fold 1.
func BenchmarkTree(b *testing.B) {
	engine, p, in, exs := demoTrees(b)
	sampled, nodes := 0, 0
	for b.Loop() {
		for i := range exs {
			_, tree := demoTree(b, engine, p, in, &exs[i], uint64(i))
			sampled, nodes = sampled+tree.Tokens, nodes+len(tree.Nodes)
		}
	}
	b.ReportMetric(float64(sampled)/b.Elapsed().Seconds(), "sampled-tokens/s")
	b.ReportMetric(float64(nodes)/float64(b.N*len(exs)), "nodes/tree")
	b.ReportMetric(float64(b.N*len(exs))/b.Elapsed().Seconds(), "trees/s")
}

// BenchmarkManyTrees grows one tree after the other in one process, rows of the result included. KiB-at-tenth and
// KiB-at-end are the live heap after a tenth of them and after all: flat memory is the same figure twice.
//
//	go test ./stages/expand -run - -bench ManyTrees -benchtime 10000x
func BenchmarkManyTrees(b *testing.B) {
	engine, p, in, exs := demoTrees(b)
	live := func() float64 {
		runtime.GC()
		runtime.GC() // the first may leave what a finalizer holds
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc) / 1024
	}
	var early float64
	for i := range b.N { // not b.Loop: it does not know the end
		g, tree := demoTree(b, engine, p, in, &exs[i%len(exs)], uint64(i))
		g.rows(tree)
		if i == b.N/10 {
			early = live()
		}
	}
	b.ReportMetric(early, "KiB-at-tenth")
	b.ReportMetric(live(), "KiB-at-end")
	runtime.KeepAlive(p)
	runtime.KeepAlive(engine)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "trees/s")
}

func demoTree(
	b *testing.B, engine *policy.Engine, p *policy.Policy, in stages.Input, ex *schemas.Example, seed uint64,
) (*grower, *search.Tree) {
	g, err := New(engine).grower(context.Background(), in, Default(), ex)
	if err != nil {
		b.Fatal(err)
	}
	params := Default().params(fragments(ex.AnswerIDs, p.TokenBytes), seed)
	oracle := search.Oracle{Draw: g.draw, Evaluate: g.evaluate, Ahead: drawAhead}
	tree, err := search.Search(context.Background(), oracle, params, nil)
	if err != nil {
		b.Fatal(err)
	}
	return g, tree
}

// demoTrees opens the demo's base and reads the rows.
func demoTrees(b *testing.B) (*policy.Engine, *policy.Policy, stages.Input, []schemas.Example) {
	engine, err := policy.NewEngine(policy.Options{})
	if err != nil {
		b.Fatal(err)
	}
	base := os.DirFS("../../ops/demo/base")
	p, err := engine.Open("base", base)
	if err != nil {
		b.Fatal(err)
	}
	var exs []schemas.Example
	f, err := os.Open("testdata/rows.jsonl")
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var row struct {
			Messages []policy.Message `json:"messages"`
			Tools    json.RawMessage  `json:"tools"`
		}
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			b.Fatal(err)
		}
		ex := schemas.Example{
			Tools: string(row.Tools), Reference: row.Messages[1].Content, Calls: 1, Template: p.TemplateHash(),
		}
		if ex.PromptIDs, err = p.Prompt(row.Messages[:1], row.Tools); err != nil {
			b.Fatal(err)
		}
		ex.AnswerIDs = p.Answer(ex.Reference)
		exs = append(exs, ex)
	}
	in := stages.Input{PolicyDigest: "base", Policy: base, Round: func(string, int) iter.Seq2[schemas.Batch, error] {
		return func(func(schemas.Batch, error) bool) {} // no selection: self-evaluation is off
	}}
	return engine, p, in, exs
}
