package expand

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"itool/schemas"
	"itool/stages"
	"itool/stages/expand/search"
	"itool/stages/policy"
	"itool/stages/policy/kernel/cpu"
	"itool/stages/policy/model"
	"itool/stages/policy/model/safetensors"
	"itool/stages/policy/policytest"
	"itool/stages/policy/tokenizer"
)

// BenchmarkLargeTree grows trees of width 4 and 8 iterations with a model of 135 million
// parameters: one tree alone, and eight at the same time. seconds/tree is the wall time divided by
// the trees.
//
//	go test ./stages/expand -run - -bench LargeTree -benchtime 3x
//
// Of one tree alone overhead-% is the share of its time that is not the engine's: selection, backup, statistics,
// judging, the rows of the result, and the scanner that looks at every token, which is timed by itself afterwards.
//
// The weights are random (see talker), unless ITOOL_BENCH_BASE names a folder with a model.
// The rows are those of BenchmarkTree, behind two of them with their answers, unless ITOOL_BENCH_ROWS
// names a file with others, which stand alone.
// ITOOL_BENCH_EXPAND is JSON with settings of expand that replace the defaults, such as
// {"leaves": 8}.
func BenchmarkLargeTree(b *testing.B) {
	base := largeBase(b)
	engine, err := policy.NewEngine(policy.Options{})
	if err != nil {
		b.Fatal(err)
	}
	p, err := engine.Open("base", base)
	if err != nil {
		b.Fatal(err)
	}
	cfg := Default()
	cfg.Iterations = 8
	if err := json.Unmarshal([]byte(cmp.Or(os.Getenv("ITOOL_BENCH_EXPAND"), "{}")), &cfg); err != nil {
		b.Fatal(err)
	}
	exs := largeExamples(b, p)
	in := stages.Input{PolicyDigest: "base", Policy: base, Round: func(string, int) iter.Seq2[schemas.Batch, error] {
		return func(func(schemas.Batch, error) bool) {} // no selection: self-evaluation is off
	}}
	b.Run("one", func(b *testing.B) {
		var sum treeSum
		at := 0
		for b.Loop() {
			sum.grow(b, New(engine), in, cfg, &exs[at%len(exs)], uint64(at))
			at++
		}
		sum.report(b)
		b.ReportMetric(100*float64(sum.whole-sum.engine+sum.scan)/float64(sum.whole), "overhead-%")
	})
	b.Run("eight", func(b *testing.B) {
		var sum treeSum
		for b.Loop() {
			var all sync.WaitGroup
			for i := range exs {
				all.Go(func() { sum.grow(b, New(engine), in, cfg, &exs[i], uint64(i)) })
			}
			all.Wait()
		}
		sum.report(b)
	})
}

// treeSum counts what trees took.
type treeSum struct {
	mu                          sync.Mutex
	trees, tokens, calls, nodes int
	rows                        int // requests, those included that no tree kept

	whole, engine, scan time.Duration // sums over trees: all of it; prompt and draws; the scanner in the draws
}

func (s *treeSum) grow(b *testing.B, stage *Stage, in stages.Input, cfg Config, ex *schemas.Example, seed uint64) {
	in.Header.Seed = seed
	began := time.Now()
	g, err := stage.grower(context.Background(), in, cfg, ex)
	if err != nil {
		b.Error(err)
		return
	}
	engine := time.Since(began) // the prompt; the judge is made there, too, which is nothing beside it
	oracle, params := g.search(seed)
	draw, calls, rows := oracle.Draw, 0, 0
	oracle.Draw = func(ctx context.Context, t *search.Tree, r []search.Request) ([][]search.Fragment, error) {
		calls++
		rows += len(r)
		from := time.Now()
		paths, err := draw(ctx, t, r)
		engine += time.Since(from)
		return paths, err
	}
	tree, err := search.Search(context.Background(), oracle, params, nil)
	if err != nil {
		b.Error(err)
		return
	}
	g.rows(tree)
	whole, scan := time.Since(began), scanTime(g, tree)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.whole, s.engine, s.scan = s.whole+whole, s.engine+engine, s.scan+scan
	s.trees, s.tokens, s.nodes = s.trees+1, s.tokens+tree.Tokens, s.nodes+len(tree.Nodes)
	s.calls, s.rows = s.calls+calls, s.rows+rows
}

// scanTime is how long the scanner takes for the tokens that were drawn for a tree, duplicates included.
func scanTime(g *grower, tree *search.Tree) time.Duration {
	kept, began := 0, time.Now()
	for i := range tree.Nodes {
		var scan scanner
		for _, id := range tree.Nodes[i].Tokens {
			scan.feed(g.p.TokenBytes(id))
			kept++
		}
	}
	return time.Duration(float64(time.Since(began)) * float64(tree.Tokens) / float64(max(kept, 1)))
}

func (s *treeSum) report(b *testing.B) {
	n := float64(s.trees)
	b.ReportMetric(b.Elapsed().Seconds()/n, "seconds/tree")
	b.ReportMetric(float64(s.tokens)/b.Elapsed().Seconds(), "sampled-tokens/s")
	b.ReportMetric(float64(s.tokens)/n, "tokens/tree")
	b.ReportMetric(float64(s.nodes)/n, "nodes/tree")
	b.ReportMetric(float64(s.calls)/n, "draws/tree")
	b.ReportMetric(float64(s.rows)/n, "rows/tree")
}

const largeVocab = 49152 // of SmolLM2

// largePrompt is the most tokens of a prompt.
const largePrompt = 450

func largeExamples(b *testing.B, p *policy.Policy) []schemas.Example {
	own := os.Getenv("ITOOL_BENCH_ROWS")
	f, err := os.Open(cmp.Or(own, "testdata/rows.jsonl"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	var exs []schemas.Example
	var shots []policy.Message
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var row struct {
			Messages []policy.Message `json:"messages"`
			Tools    json.RawMessage  `json:"tools"`
		}
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			b.Fatal(err)
		}
		if own == "" && len(shots) < 4 {
			shots = append(shots, row.Messages...)
		}
		last := len(row.Messages) - 1
		ex := schemas.Example{
			Tools: string(row.Tools), Reference: row.Messages[last].Content, Calls: 1, Template: p.TemplateHash(),
		}
		asked := append(shots[:len(shots):len(shots)], row.Messages[:last]...)
		if ex.PromptIDs, err = p.Prompt(asked, row.Tools); err != nil {
			b.Fatal(err)
		}
		if own == "" {
			ex.PromptIDs = ex.PromptIDs[max(0, len(ex.PromptIDs)-largePrompt):]
		}
		ex.AnswerIDs = p.Answer(ex.Reference)
		exs = append(exs, ex)
	}
	return exs
}

func largeBase(b *testing.B) fs.FS {
	if dir := os.Getenv("ITOOL_BENCH_BASE"); dir != "" {
		return os.DirFS(dir)
	}
	dir := b.TempDir()
	if err := talker(dir); err != nil {
		b.Fatal(err)
	}
	return os.DirFS(dir)
}

// talker fills dir with a model of the shape of SmolLM2-135M and random weights that answers as a
// trained model does, as far as the time of a search depends on it: it writes short lines and ends
// its turn after some of them, and two draws after the same prefix are often the same. Random
// weights alone would write each answer to its limit, in one fragment.
func talker(dir string) error {
	tiny := policytest.Tiny(1) // has a tokenizer and a template
	if err := os.CopyFS(dir, tiny); err != nil {
		return err
	}
	for _, name := range []string{"config.json", "model.safetensors"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	if err := padTokenizer(filepath.Join(dir, tokenizer.File), largeVocab); err != nil {
		return err
	}
	tok, err := tokenizer.Open(os.DirFS(dir))
	if err != nil {
		return err
	}
	was, err := model.ReadConfig(tiny)
	if err != nil {
		return err
	}
	dev, err := cpu.New(cpu.Options{})
	if err != nil {
		return err
	}
	m := model.New(model.Config{
		Family: model.Llama, HiddenSize: 576, IntermediateSize: 1536, NumLayers: 30, NumHeads: 9, NumKVHeads: 3,
		HeadDim: 64, VocabSize: largeVocab, RopeTheta: 1e5, MaxPositions: 8192, RMSNormEps: 1e-5,
		BOS: was.BOS, EOS: was.EOS,
	}, 1, dev)
	speak(m, tok)
	create := func(name string) (io.WriteCloser, error) { return os.Create(filepath.Join(dir, name)) }
	return m.Save(create, safetensors.BF16)
}

// padTokenizer gives a tokenizer tokens that no text has, so that it has n: one with far fewer than the model has rows
// is refused as that of another model.
func padTokenizer(file string, n int) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var tok map[string]any
	if err := json.Unmarshal(data, &tok); err != nil {
		return err
	}
	added := tok["added_tokens"].([]any)
	vocab := tok["model"].(map[string]any)["vocab"].(map[string]any)
	for id := len(vocab) + len(added); id < n; id++ {
		added = append(added, map[string]any{"id": id, "content": fmt.Sprintf("<|unused %d|>", id), "special": true})
	}
	tok["added_tokens"] = added
	if data, err = json.Marshal(tok); err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o644)
}

// speak changes random weights so that they write text. Feature 0 of every embedding is large; the layers neither
// read nor write it. So the head's weights at feature 0 are biases, which leave only letters, the end of a line and
// the end of a turn. Their other weights are large: the likeliest token depends on the context, and is likely.
func speak(m *model.Model, tok *tokenizer.Tokenizer) {
	width := m.HiddenSize
	for i := range m.VocabSize {
		m.Embed[i*width] = 10
	}
	for i := range m.Layers {
		l := &m.Layers[i]
		for j := range width { // the norm of the embeddings is nearly all in feature 0
			l.InputNorm[j], l.PostNorm[j] = 10, 10
		}
		l.InputNorm[0], l.PostNorm[0] = 0, 0
		for _, w := range []*model.Linear{&l.O, &l.Down} {
			clear(w.W[:w.K])
		}
	}
	bias := map[int32]float32{m.EOS[0]: 1.13, tok.Encode("\n")[0]: 1.32}
	for _, c := range "abcdefghijklmnopqrstuvwxyz" {
		bias[tok.Encode(string(c))[0]] = 1
	}
	for i := range m.VocabSize {
		row, b := m.HeadW[i*width:(i+1)*width], float32(0)
		if at, ok := bias[int32(i)]; ok {
			b = at
			for j := range row {
				row[j] *= 20
			}
		}
		row[0] = b
	}
}
