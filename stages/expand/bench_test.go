package expand

import (
	"bufio"
	"context"
	"encoding/json"
	"iter"
	"os"
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
	sampled, nodes := 0, 0
	for b.Loop() {
		for i := range exs {
			g, err := New(engine).grower(in, Default(), &exs[i])
			if err != nil {
				b.Fatal(err)
			}
			params := Default().params(fragments(exs[i].AnswerIDs, p.TokenBytes), uint64(i))
			oracle := search.Oracle{Draw: g.draw, Evaluate: g.evaluate, Ahead: drawAhead}
			tree, err := search.Search(context.Background(), oracle, params, nil)
			if err != nil {
				b.Fatal(err)
			}
			sampled, nodes = sampled+tree.Tokens, nodes+len(tree.Nodes)
		}
	}
	b.ReportMetric(float64(sampled)/b.Elapsed().Seconds(), "sampled-tokens/s")
	b.ReportMetric(float64(nodes)/float64(b.N*len(exs)), "nodes/tree")
	b.ReportMetric(float64(b.N*len(exs))/b.Elapsed().Seconds(), "trees/s")
}
