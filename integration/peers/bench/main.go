// Command bench measures the engine beside the programs that its users come from:
// PyTorch with PEFT and TRL, and llama.cpp, on the same checkpoints with random weights.
// Both sides do a job in turns; what is reported is how many times as fast ours is, the
// median of the turns and their spread. A job that cannot be run says why.
//
//	go run ./integration/peers/bench -python peers/bin/python -o integration/peers/RESULTS.md
package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"itool/ops/demo"
	"itool/stages/policy"
	"itool/stages/policy/gguf"
	"itool/stages/policy/kernel"
	"itool/stages/policy/kernel/cpu"
	"itool/stages/policy/model"
	"itool/stages/policy/model/safetensors"
	"itool/stages/policy/policytest"
	"itool/stages/policy/train"
)

func main() {
	var o options
	flag.StringVar(&o.python, "python", "python3", "interpreter with requirements.txt installed")
	flag.StringVar(&o.out, "o", "", "file to write; empty: standard output")
	flag.IntVar(&o.turns, "turns", 5, "repetitions of each side")
	flag.StringVar(&o.only, "only", "", "run the rows whose name matches this regular expression")
	flag.StringVar(&o.level, "kernels", "", "kernel level; empty: the best")
	flag.Parse()
	if err := run(context.Background(), o); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

type options struct {
	python, out, only, level string
	turns                    int
}

// shape is a model of the comparison.
type shape struct {
	name   string
	config model.Config
}

var shapes = []shape{
	{"demo", model.Config{Family: model.Llama, HiddenSize: 128, IntermediateSize: 320, NumLayers: 4, NumHeads: 4, NumKVHeads: 2, HeadDim: 32, VocabSize: 1024, RopeTheta: 1e4}},
	{"135 M", model.Config{Family: model.Llama, HiddenSize: 576, IntermediateSize: 1536, NumLayers: 30, NumHeads: 9, NumKVHeads: 3, HeadDim: 64, VocabSize: 49152, RopeTheta: 1e5}},
	{"494 M", model.Config{Family: model.Qwen2, HiddenSize: 896, IntermediateSize: 4864, NumLayers: 24, NumHeads: 14, NumKVHeads: 2, HeadDim: 64, VocabSize: 151936, RopeTheta: 1e6}},
	{"demo's base, rope_theta doubled", model.Config{}},
}

// base is the one of shapes that is trained: a search with random weights finds no fragments.
const base = 3

// sizes of a job; those it does not use are 0.
type sizes struct {
	Sequences  int `json:"sequences,omitempty"`
	Tokens     int `json:"tokens,omitempty"` // of a sequence; drawn by each, when decoding
	Pairs      int `json:"pairs,omitempty"`
	Prompt     int `json:"prompt,omitempty"`
	Fragment   int `json:"fragment,omitempty"`
	Answer     int `json:"answer,omitempty"`
	Width      int `json:"width,omitempty"` // of a tree
	Iterations int `json:"iterations,omitempty"`
}

// row is one line of the table.
type row struct {
	job      string
	shape    int
	bar      string
	peer     string
	variants []string // of the peer: its best counts
	sizes    sizes
	title    string
	ours     func(*bench, *policy.Policy, sizes) (side, error)
}

// side is our side of a row.
type side struct {
	do   func() error
	tree *tree // nil: the job is no search
}

// torch are PyTorch's variants. Where the processor multiplies nothing in bf16, those that
// do take minutes a step: there they are tried in the first row only. Compiling a larger
// model takes longer than a row may.
var (
	torch  = []string{"fp32", "autocast", "bf16", "fp32+compile", "autocast+compile"}
	inBF16 = []string{"autocast", "bf16", "autocast+compile"}
)

// rows are sized so that a cell takes about a minute on two cores without a matrix unit.
var rows = []row{
	{"sft", 0, "3", "PyTorch + PEFT", torch, sizes{Sequences: 8, Tokens: 256}, "LoRA SFT step, 8 × 256 tokens", (*bench).sft},
	{"sft", 1, "1.3", "PyTorch + PEFT", torch[:3], sizes{Sequences: 2, Tokens: 256}, "LoRA SFT step, 2 × 256 tokens", (*bench).sft},
	{"sft", 2, "1.0", "PyTorch + PEFT", torch[:3], sizes{Sequences: 1, Tokens: 128}, "LoRA SFT step, 128 tokens", (*bench).sft},
	{"simpo", 0, "4", "TRL CPO simpo", torch, sizes{Pairs: 16, Prompt: 1000, Fragment: 12}, "SimPO step, 16 pairs, prompts of 1,000, fragments of 12", (*bench).simpo},
	{"simpo", 1, "2", "TRL CPO simpo", torch[:3], sizes{Pairs: 1, Prompt: 1000, Fragment: 12}, "SimPO step, 1 pair, prompt of 1,000, fragments of 12", (*bench).simpo},
	{"simpo", 2, "2", "TRL CPO simpo", torch[:3], sizes{Pairs: 1, Prompt: 256, Fragment: 12}, "SimPO step, 1 pair, prompt of 256, fragments of 12", (*bench).simpo},
	{"score", 0, "8", llamaBF16, []string{plain}, sizes{Sequences: 8, Prompt: 1000, Answer: 12}, "perplexity of 8 answers of 12 after prompts of 1,000", (*bench).score},
	{"score", 1, "8", llamaBF16, []string{plain}, sizes{Sequences: 1, Prompt: 1000, Answer: 12}, "perplexity of an answer of 12 after a prompt of 1,000", (*bench).score},
	{"score", 2, "8", llamaBF16, []string{plain}, sizes{Sequences: 1, Prompt: 256, Answer: 12}, "perplexity of an answer of 12 after a prompt of 256", (*bench).score},
	{"decode", 0, "", llamaBF16, []string{plain}, sizes{Sequences: 1, Prompt: 16, Tokens: 128}, "decode, 1 stream, 128 tokens", (*bench).decode},
	{"decode", 1, "", llamaBF16, []string{plain}, sizes{Sequences: 1, Prompt: 16, Tokens: 32}, "decode, 1 stream, 32 tokens", (*bench).decode},
	{"decode", 2, "1.0", llamaBF16, []string{plain}, sizes{Sequences: 1, Prompt: 16, Tokens: 16}, "decode, 1 stream, 16 tokens, 1 GB of weights", (*bench).decode},
	{"decode", 0, "3", llamaBF16, []string{plain}, sizes{Sequences: 32, Prompt: 16, Tokens: 64}, "decode, 32 streams, 64 tokens each", (*bench).decode},
	{"decode", 1, "3", llamaBF16, []string{plain}, sizes{Sequences: 32, Prompt: 16, Tokens: 8}, "decode, 32 streams, 8 tokens each", (*bench).decode},
	{"decode", 2, "3", llamaBF16, []string{plain}, sizes{Sequences: 32, Prompt: 16, Tokens: 2}, "decode, 32 streams, 2 tokens each", (*bench).decode},
	{"score", 2, "3", llamaQ8, []string{plain}, sizes{Sequences: 1, Prompt: 256, Answer: 12}, "in eight bits: perplexity of an answer of 12 after a prompt of 256", (*bench).score},
	{"decode", 2, "1.0", llamaQ8, []string{plain}, sizes{Sequences: 1, Prompt: 16, Tokens: 16}, "in eight bits: decode, 1 stream, 16 tokens", (*bench).decode},
	{"decode", 2, "1.5", llamaQ8, []string{plain}, sizes{Sequences: 32, Prompt: 16, Tokens: 2}, "in eight bits: decode, 32 streams, 2 tokens each", (*bench).decode},
	{"gemm", 0, "1.15", oneDNN, dense, sizes{Tokens: 2048}, "products of a layer's seven matrices with 2,048 rows, float32", (*bench).gemm},
	{"gemm", 1, "1.15", oneDNN, dense, sizes{Tokens: 512}, "products of a layer's seven matrices with 512 rows, float32", (*bench).gemm},
	{"gemm", 2, "1.15", oneDNN, dense, sizes{Tokens: 512}, "products of a layer's seven matrices with 512 rows, float32", (*bench).gemm},
	{"tree", base, "30", llamaBF16, []string{"every node from scratch"}, oneTree, oneTreeTitle, (*bench).search},
	{"tree", base, "3", llamaBF16, []string{"its server with a prompt cache"}, oneTree, oneTreeTitle, (*bench).search},
	{"tree", base, "1.3", ownStreams, nil, oneTree, oneTreeTitle, (*bench).search},
}

// oneTree is the search of three rows.
var oneTree = sizes{Prompt: 1000, Width: 4, Iterations: 20}

const oneTreeTitle = "one search tree: prompt of 1,000, width 4, 20 iterations, self-evaluation"

// missing are the rows that nothing here can run yet, and why.
var missing = []string{
	"| all | matrix products in bf16 on the tile unit | oneDNN | ≥ 1.15 | not run | needs a machine with AMX | |",
}

// The peers whose variants are not PyTorch's. Of dense products PyTorch has oneDNN's and
// those of its BLAS.
const (
	llamaBF16 = "llama.cpp bf16"
	llamaQ8   = "llama.cpp Q8_0"
	oneDNN    = "PyTorch"
)

var dense = []string{"oneDNN", "BLAS"}

// plain is the variant of a peer that has one.
const plain = ""

// bench is the state of a comparison.
type bench struct {
	dev kernel.Device
	dir string // checkpoints
	ctx context.Context
}

func run(ctx context.Context, o options) error {
	only, err := regexp.Compile(o.only)
	if err != nil {
		return fmt.Errorf("-only: %w", err)
	}
	dev, err := cpu.New(cpu.Options{Level: o.level, Threads: 2})
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "itool-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{dev: dev, dir: dir, ctx: ctx}
	var lines []string
	for i := range rows {
		r := &rows[i]
		name := r.job + " " + shapes[r.shape].name
		if !only.MatchString(name) {
			continue
		}
		start := time.Now()
		line, err := b.row(r, o)
		if err != nil {
			line = fmt.Sprintf("| %s | %s | %s | %s | not run | %v | |", shapes[r.shape].name, r.title, r.peer, r.bar, err)
		}
		fmt.Fprintf(os.Stderr, "%s (%.0f s)\n%s\n", name, time.Since(start).Seconds(), line)
		lines = append(lines, line)
	}
	if o.only == "" {
		lines = append(lines, missing...)
	}
	text := b.page(lines, o)
	if o.out == "" {
		_, err = io.WriteString(os.Stdout, text)
		return err
	}
	return os.WriteFile(o.out, []byte(text), 0o644)
}

// row measures one line.
func (b *bench) row(r *row, o options) (string, error) {
	folder, err := b.checkpoint(r.shape)
	if err != nil {
		return "", err
	}
	form := model.Auto
	if r.peer == llamaQ8 {
		form = model.Int8
	}
	p, err := policy.Open(os.DirFS(folder), policy.Options{Device: b.dev, Form: form})
	if err != nil {
		return "", err
	}
	ours, err := r.ours(b, p, r.sizes)
	if err != nil {
		return "", err
	}
	defer debug.FreeOSMemory()
	if r.peer == ownStreams {
		return b.overhead(r, p, ours, o)
	}
	best, variant, err := b.best(r, ours, folder, o.python)
	if err != nil {
		return "", err
	}
	defer best.close()
	mine, theirs, err := alternate(o.turns, ours.do, best.turn)
	if err != nil {
		return "", err
	}
	bar := r.bar
	if bar != "" {
		bar = "≥ " + bar
	}
	peer := r.peer
	if variant != plain {
		peer += ", " + variant
	}
	return r.line(peer, bar, ratios(theirs, mine), mine, theirs), nil
}

// alternate lets both sides do their job in turns, ours once more before, to warm. It
// returns seconds.
func alternate(turns int, ours func() error, peer func() (float64, error)) (mine, theirs []float64, err error) {
	if err := ours(); err != nil {
		return nil, nil, err
	}
	for range turns {
		start := time.Now()
		if err := ours(); err != nil {
			return nil, nil, err
		}
		mine = append(mine, time.Since(start).Seconds())
		t, err := peer()
		if err != nil {
			return nil, nil, err
		}
		theirs = append(theirs, t)
	}
	return mine, theirs, nil
}

// line is a row of the table, in Markdown.
func (r *row) line(peer, bar string, figures, mine, theirs []float64) string {
	return fmt.Sprintf("| %s | %s | %s | %s | **%.2f** | %.2f to %.2f | %s, %s |", shapes[r.shape].name, r.title, peer, bar,
		median(figures), slices.Min(figures), slices.Max(figures), seconds(median(mine)), seconds(median(theirs)))
}

func ratios(over, under []float64) []float64 {
	v := make([]float64, len(over))
	for i := range v {
		v[i] = over[i] / under[i]
	}
	return v
}

func seconds(s float64) string {
	if s < 1 {
		return fmt.Sprintf("%.0f ms", 1000*s)
	}
	return fmt.Sprintf("%.1f s", s)
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}

// best starts the peer's variants and keeps the fastest.
func (b *bench) best(r *row, ours side, folder, python string) (*peer, string, error) {
	type ask struct {
		Job     string `json:"job"`
		Folder  string `json:"folder"`
		File    string `json:"file"`
		Variant string `json:"variant"`
		sizes
		Calls trace `json:"calls,omitempty"`
	}
	var calls trace
	if ours.tree != nil {
		calls = ours.tree.calls
	}
	file := filepath.Join(folder, "model.gguf")
	if r.peer == llamaQ8 {
		file = filepath.Join(folder, "model-q8.gguf")
		if err := b.gguf(folder, file, true); err != nil {
			return nil, "", err
		}
	}
	var best *peer
	var name string
	fastest, why := math.Inf(1), error(nil)
	for _, v := range r.variants {
		if r != &rows[0] && slices.Contains(inBF16, v) && !multipliesBF16() {
			continue
		}
		p, err := start(python, ask{r.job, folder, file, v, r.sizes, calls})
		if err != nil {
			why = err
			continue
		}
		took := math.Inf(1)
		if err = calls.same(p.ready.LogProbs); err == nil {
			_, err = p.turn() // warm
		}
		if err == nil && len(r.variants) > 1 {
			took, err = p.turn()
		}
		if err != nil || best != nil && took >= fastest {
			if err != nil {
				why = err
			}
			p.close()
			continue
		}
		if best != nil {
			best.close()
		}
		best, name, fastest = p, v, took
	}
	if best == nil {
		return nil, "", cmp.Or(why, errors.New("none of the peer's variants runs on this processor"))
	}
	return best, name, nil
}

// checkpoint writes a model, in bf16, as safetensors and as GGUF, once.
func (b *bench) checkpoint(i int) (string, error) {
	dir := filepath.Join(b.dir, strings.ReplaceAll(shapes[i].name, " ", ""))
	if _, err := os.Stat(dir); err == nil {
		return dir, nil
	}
	if i == base {
		if err := longBase(dir); err != nil {
			return "", err
		}
	} else if err := b.random(i, dir); err != nil {
		return "", err
	}
	runtime.GC()
	return dir, b.gguf(dir, filepath.Join(dir, "model.gguf"), false)
}

// gguf writes a folder's model for llama.cpp, unless the file is there.
func (b *bench) gguf(dir, name string, int8 bool) error {
	if _, err := os.Stat(name); err == nil {
		return nil
	}
	p, err := policy.Open(os.DirFS(dir), policy.Options{Device: b.dev, Form: model.Stored})
	if err != nil {
		return err
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	return errors.Join(gguf.Write(f, p, gguf.Options{NoTokenizer: true, Int8: int8}), f.Close())
}

// longBase fills a folder with the demo's base and doubles the base of its rotary positions, as is done to stretch a
// context: it learnt from short prompts, and behind one of 1,000 tokens its answers would end after a few.
func longBase(dir string) error {
	if err := os.CopyFS(dir, demo.Base()); err != nil {
		return err
	}
	const name, was, is = "config.json", `"rope_theta": 10000,`, `"rope_theta": 20000,`
	text, err := fs.ReadFile(demo.Base(), name)
	if err != nil {
		return err
	}
	if bytes.Count(text, []byte(was)) != 1 {
		return fmt.Errorf("%s of the demo's base does not say %s", name, was)
	}
	if err := os.Remove(filepath.Join(dir, name)); err != nil { // it is read-only
		return err
	}
	return os.WriteFile(filepath.Join(dir, name), bytes.Replace(text, []byte(was), []byte(is), 1), 0o644)
}

// random fills a folder with a shape's model of random weights.
func (b *bench) random(i int, dir string) error {
	c := shapes[i].config
	c.MaxPositions, c.RMSNormEps, c.TieEmbeddings = 4096, 1e-5, true
	files := policytest.Tiny(1) // for tokenizer and template
	if err := os.CopyFS(dir, files); err != nil {
		return err
	}
	tiny, err := policy.Open(files, policy.Options{Device: b.dev})
	if err != nil {
		return err
	}
	c.BOS, c.EOS = tiny.Model().BOS, tiny.Model().EOS
	for _, name := range []string{"config.json", "model.safetensors"} {
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	create := func(name string) (io.WriteCloser, error) { return os.Create(filepath.Join(dir, name)) }
	return model.New(c, 1, b.dev).Save(create, safetensors.BF16)
}

// ids are n tokens that end nothing.
func ids(p *policy.Policy, n, salt int) []int32 {
	v := make([]int32, n)
	for i := range v {
		v[i] = int32((i*7919 + salt*104729 + 300) % (p.VocabSize() - 300))
		if p.IsEnd(v[i]) {
			v[i] = 299
		}
	}
	return v
}

// sft is a step of an adapter on sequences with a loss on every token.
func (b *bench) sft(p *policy.Policy, s sizes) (side, error) {
	es := make([]train.Example, s.Sequences)
	for i := range es {
		es[i] = train.Example{ID: fmt.Sprint(i), Answer: ids(p, s.Tokens, i)}
	}
	c := train.Default()
	c.Tokens = s.Sequences * s.Tokens
	return b.trainer(p, c, train.Phase{Name: "sft", Examples: es, BatchSize: len(es)})
}

// simpo is a step of an adapter on pairs.
func (b *bench) simpo(p *policy.Policy, s sizes) (side, error) {
	ps := make([]train.Pair, s.Pairs)
	for i := range ps {
		ps[i] = train.Pair{ID: fmt.Sprint(i), Prompt: ids(p, s.Prompt, i), Chosen: ids(p, s.Fragment, 2*i), Rejected: ids(p, s.Fragment, 2*i+1)}
	}
	c := train.Default()
	c.Loss = "simpo"
	c.Tokens = max(2048, train.PairRows(s.Prompt, s.Fragment, s.Fragment))
	return b.trainer(p, c, train.Phase{Name: "simpo", Pairs: ps, BatchSize: len(ps)})
}

func (b *bench) trainer(p *policy.Policy, c train.Config, phase train.Phase) (side, error) {
	phase.Epochs, phase.Rate = 1<<20, 1e-4
	c.Rank, c.Alpha = 16, 32
	t, err := train.New(p.Model(), c, []train.Phase{phase})
	return side{do: func() error {
		_, err := t.Step(b.ctx)
		return err
	}}, err
}

// score is the log-probability of answers after prompts.
func (b *bench) score(p *policy.Policy, s sizes) (side, error) {
	seqs := make([]policy.Sequence, s.Sequences)
	for i := range seqs {
		seqs[i] = policy.Sequence{Prompt: ids(p, s.Prompt, i), Answer: ids(p, s.Answer, i+100)}
	}
	return side{do: func() error {
		_, err := p.LogProbs(b.ctx, seqs)
		return err
	}}, nil
}

// decode draws many continuations of one prompt.
func (b *bench) decode(p *policy.Policy, s sizes) (side, error) {
	draw, err := b.streams(p, ids(p, s.Prompt, 1), s, 1)
	return side{do: func() error {
		_, err := draw()
		return err
	}}, err
}

// streams draws s.Sequences continuations of a prompt, each of s.Tokens, and returns the seconds that the
// drawing takes, without the prompt.
func (b *bench) streams(p *policy.Policy, prompt []int32, s sizes, temperature float64) (func() (float64, error), error) {
	draw := func(seeds []uint64) ([]policy.Draw, float64, error) {
		session, err := p.NewSession(prompt)
		if err != nil {
			return nil, 0, err
		}
		reqs := make([]policy.Request, len(seeds))
		for i := range reqs {
			reqs[i] = policy.Request{From: session.Root(), Seed: seeds[i], Temperature: temperature, MaxTokens: s.Tokens}
		}
		start := time.Now()
		draws, err := session.Draw(b.ctx, reqs)
		return draws, time.Since(start).Seconds(), err
	}
	// A turn ends now and then: take seeds with which it does not.
	var seeds []uint64
	for next := uint64(0); len(seeds) < s.Sequences; {
		try := slices.Clone(seeds)
		for len(try) < s.Sequences {
			try = append(try, next)
			next++
		}
		draws, _, err := draw(try)
		if err != nil {
			return nil, err
		}
		seeds = seeds[:0]
		for i, d := range draws {
			if len(d.Tokens) == s.Tokens {
				seeds = append(seeds, try[i])
			}
		}
	}
	return func() (float64, error) {
		_, seconds, err := draw(seeds)
		return seconds, err
	}, nil
}

// gemm multiplies rows with each of a layer's matrices.
func (b *bench) gemm(p *policy.Policy, s sizes) (side, error) {
	type job struct {
		w    kernel.Matrix
		x, y []float32
	}
	var jobs []job
	r := rand.New(rand.NewPCG(1, 1))
	random := func(n int) []float32 {
		v := make([]float32, n)
		for i := range v {
			v[i] = float32(r.NormFloat64())
		}
		return v
	}
	for _, l := range p.Model().Layers[0].Linears() {
		jobs = append(jobs, job{b.dev.Pack(kernel.Widened(l.Weight()), l.N, l.K), random(s.Tokens * l.K), make([]float32, s.Tokens*l.N)})
	}
	return side{do: func() error {
		for range layers {
			for _, j := range jobs {
				b.dev.MatMul(j.y, j.x, j.w, s.Tokens, false)
			}
		}
		return nil
	}}, nil
}

// layers that a turn of gemm multiplies: long enough to be timed.
const layers = 4
