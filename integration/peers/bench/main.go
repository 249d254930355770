// Command bench compares the speed of the engine with that of other programs: PyTorch with PEFT
// and TRL, and llama.cpp, on the same checkpoints with random weights. Both sides do a job in
// turns. Reported is how many times as fast the engine is: the median of the turns and their
// spread. If a job cannot be run, its row says why.
//
//	go run ./integration/peers/bench -python peers/bin/python -o integration/peers/RESULTS.md
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"slices"
	"time"

	"itool/stages/policy"
	"itool/stages/policy/kernel"
	"itool/stages/policy/kernel/cpu"
	"itool/stages/policy/model"
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

// sizes of a job; a size that it does not use is 0.
type sizes struct {
	Sequences  int `json:"sequences,omitempty"`
	Tokens     int `json:"tokens,omitempty"` // per sequence; when decoding, the tokens that it draws
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
	variants []string // of the peer; the fastest counts
	sizes    sizes
	title    string
	ours     func(*bench, *policy.Policy, sizes) (side, error)
}

// side is our side of a row.
type side struct {
	do   func() error
	tree *tree // nil: the job is not a search
}

// torch are PyTorch's variants. On a processor without bf16 instructions the variants in bf16
// take minutes per step; there they are tried in the first row only. Compiling a larger model
// takes longer than the limit of a row.
var (
	torch  = []string{"fp32", "autocast", "bf16", "fp32+compile", "autocast+compile"}
	inBF16 = []string{"autocast", "bf16", "autocast+compile"}
)

// rows are sized so that a cell takes about a minute on two cores without a matrix unit.
var rows = []row{
	{"sft", 0, "3", "PyTorch + PEFT", torch, sizes{Sequences: 8, Tokens: 256},
		"LoRA SFT step, 8 × 256 tokens", (*bench).sft},
	{"sft", 1, "1.3", "PyTorch + PEFT", torch[:3], sizes{Sequences: 2, Tokens: 256},
		"LoRA SFT step, 2 × 256 tokens", (*bench).sft},
	{"sft", 2, "1.0", "PyTorch + PEFT", torch[:3], sizes{Sequences: 1, Tokens: 128},
		"LoRA SFT step, 128 tokens", (*bench).sft},
	{"simpo", 0, "4", "TRL CPO simpo", torch, sizes{Pairs: 16, Prompt: 1000, Fragment: 12},
		"SimPO step, 16 pairs, prompts of 1,000, fragments of 12", (*bench).simpo},
	{"simpo", 1, "2", "TRL CPO simpo", torch[:3], sizes{Pairs: 1, Prompt: 1000, Fragment: 12},
		"SimPO step, 1 pair, prompt of 1,000, fragments of 12", (*bench).simpo},
	{"simpo", 2, "2", "TRL CPO simpo", torch[:3], sizes{Pairs: 1, Prompt: 256, Fragment: 12},
		"SimPO step, 1 pair, prompt of 256, fragments of 12", (*bench).simpo},
	{"score", 0, "8", llamaBF16, []string{plain}, sizes{Sequences: 8, Prompt: 1000, Answer: 12},
		"perplexity of 8 answers of 12 after prompts of 1,000", (*bench).score},
	{"score", 1, "8", llamaBF16, []string{plain}, sizes{Sequences: 1, Prompt: 1000, Answer: 12},
		"perplexity of an answer of 12 after a prompt of 1,000", (*bench).score},
	{"score", 2, "8", llamaBF16, []string{plain}, sizes{Sequences: 1, Prompt: 256, Answer: 12},
		"perplexity of an answer of 12 after a prompt of 256", (*bench).score},
	{"decode", 0, "", llamaBF16, []string{plain}, sizes{Sequences: 1, Prompt: 16, Tokens: 128},
		"decode, 1 stream, 128 tokens", (*bench).decode},
	{"decode", 1, "", llamaBF16, []string{plain}, sizes{Sequences: 1, Prompt: 16, Tokens: 32},
		"decode, 1 stream, 32 tokens", (*bench).decode},
	{"decode", 2, "1.0", llamaBF16, []string{plain}, sizes{Sequences: 1, Prompt: 16, Tokens: 16},
		"decode, 1 stream, 16 tokens, 1 GB of weights", (*bench).decode},
	{"decode", 0, "3", llamaBF16, []string{plain}, sizes{Sequences: 32, Prompt: 16, Tokens: 64},
		"decode, 32 streams, 64 tokens each", (*bench).decode},
	{"decode", 1, "3", llamaBF16, []string{plain}, sizes{Sequences: 32, Prompt: 16, Tokens: 8},
		"decode, 32 streams, 8 tokens each", (*bench).decode},
	{"decode", 2, "3", llamaBF16, []string{plain}, sizes{Sequences: 32, Prompt: 16, Tokens: 2},
		"decode, 32 streams, 2 tokens each", (*bench).decode},
	{"score", 2, "3", llamaQ8, []string{plain}, sizes{Sequences: 1, Prompt: 256, Answer: 12},
		"in eight bits: perplexity of an answer of 12 after a prompt of 256", (*bench).score},
	{"decode", 2, "1.0", llamaQ8, []string{plain}, sizes{Sequences: 1, Prompt: 16, Tokens: 16},
		"in eight bits: decode, 1 stream, 16 tokens", (*bench).decode},
	{"decode", 2, "1.5", llamaQ8, []string{plain}, sizes{Sequences: 32, Prompt: 16, Tokens: 2},
		"in eight bits: decode, 32 streams, 2 tokens each", (*bench).decode},
	{"gemm", 0, "1.15", oneDNN, dense, sizes{Tokens: 2048},
		"products of a layer's seven matrices with 2,048 rows, float32", (*bench).gemm},
	{"gemm", 1, "1.15", oneDNN, dense, sizes{Tokens: 512},
		"products of a layer's seven matrices with 512 rows, float32", (*bench).gemm},
	{"gemm", 2, "1.15", oneDNN, dense, sizes{Tokens: 512},
		"products of a layer's seven matrices with 512 rows, float32", (*bench).gemm},
	{"tree", base, "30", llamaBF16, []string{"every node from scratch"}, oneTree, oneTreeTitle, (*bench).search},
	{"tree", base, "3", llamaBF16, []string{"its server with a prompt cache"}, oneTree, oneTreeTitle, (*bench).search},
	{"tree", base, "1.3", ownStreams, nil, oneTree, oneTreeTitle, (*bench).search},
}

// oneTree is the search of three rows.
var oneTree = sizes{Prompt: 1000, Width: 4, Iterations: 20}

const oneTreeTitle = "one search tree: prompt of 1,000, width 4, 20 iterations, self-evaluation"

// missing are rows that cannot be measured yet, and why.
var missing = []string{
	"| all | matrix products in bf16 on the tile unit | oneDNN | ≥ 1.15 | not run | needs a machine with AMX | |",
}

// The peers that do not use the variants of PyTorch in torch. For dense products PyTorch has two
// libraries, oneDNN and its BLAS.
const (
	llamaBF16 = "llama.cpp bf16"
	llamaQ8   = "llama.cpp Q8_0"
	oneDNN    = "PyTorch"
)

var dense = []string{"oneDNN", "BLAS"}

// plain is the variant of a peer that has only one.
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
			line = fmt.Sprintf("| %s | %s | %s | %s | not run | %v | |",
				shapes[r.shape].name, r.title, r.peer, r.bar, err)
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

// row measures one row of the table.
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

// alternate lets both sides do their job in turns and returns the seconds of each turn. Our side
// does it once before, to warm up.
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
	return fmt.Sprintf("| %s | %s | %s | %s | **%.2f** | %.2f to %.2f | %s, %s |",
		shapes[r.shape].name, r.title, peer, bar, median(figures), slices.Min(figures), slices.Max(figures),
		seconds(median(mine)), seconds(median(theirs)))
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
