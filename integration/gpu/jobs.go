package main

import (
	"fmt"

	"itool/stages/policy/model"
	"itool/stages/policy/train"
)

// rank is that of every adapter here.
const rank = 16

// sizes are those of the jobs; real are measured on a GPU, and tests take tiny ones.
type sizes struct {
	products           [][3]int // M, N, K
	shapes             []shape
	sequences, tokens  int // of a training step, and of perplexity
	prompt, drawn      int // tokens of a prompt, and of each stream
	streams            []int
	fragment, searches int // tokens of a fragment; iterations of a search
}

// shape is a model of random weights.
type shape struct {
	name   string
	config model.Config
}

var real = sizes{
	products: [][3]int{{4096, 4096, 4096}, {8192, 8192, 8192}, {2048, 14336, 4096}, {2048, 4096, 14336},
		{8192, 896, 4864}},
	shapes: []shape{
		{"0.5 B", model.Config{
			Family: model.Qwen2, HiddenSize: 896, IntermediateSize: 4864, NumLayers: 24, NumHeads: 14, NumKVHeads: 2,
			HeadDim: 64, VocabSize: 151936, RopeTheta: 1e6, TieEmbeddings: true,
		}},
		{"1 B", model.Config{
			Family: model.Llama, HiddenSize: 2048, IntermediateSize: 8192, NumLayers: 16, NumHeads: 32, NumKVHeads: 8,
			HeadDim: 64, VocabSize: 128256, RopeTheta: 5e5, TieEmbeddings: true,
		}},
		{"8 B", model.Config{
			Family: model.Llama, HiddenSize: 4096, IntermediateSize: 14336, NumLayers: 32, NumHeads: 32, NumKVHeads: 8,
			HeadDim: 128, VocabSize: 128256, RopeTheta: 5e5,
		}},
	},
	sequences: 8, tokens: 1024, prompt: 512, drawn: 64, streams: []int{1, 32, 256}, fragment: 16, searches: 24,
}

// section is a table of the page.
type section struct {
	title, text string
	library     bool // products are also measured with cuBLASLt
	jobs        []*job
}

func (s section) beside() string {
	if s.library {
		return ", own ÷ cuBLASLt"
	}
	return ""
}

func (s section) rule() (rule string) {
	for range chips {
		rule += "---|"
	}
	return rule
}

// turn does a job once, and returns the units that it has done.
type turn func() (units float64, err error)

// job is a row.
type job struct {
	name   string
	unit   string
	scale  float64 // units of a turn, about
	work   work    // of a turn
	needs  float64 // bytes of memory
	open   func(b *bench) (turn, error)
	result string // "": not run
}

func (j *job) figure() string {
	if j.result == "" {
		return notRun
	}
	return j.result
}

// predicted is the roofline's figure.
func (j *job) predicted(c chip) string {
	if j.needs > c.memory {
		return fmt.Sprintf("needs %.0f GB", j.needs/1e9)
	}
	return j.print(j.scale / j.work.seconds(c))
}

// print prints units a second.
func (j *job) print(r float64) string {
	if r >= 100 {
		return fmt.Sprintf("%.0f %s", r, j.unit)
	}
	return fmt.Sprintf("%.3g %s", r, j.unit)
}

// sections are all jobs, grouped as the page has them.
func (s sizes) sections() []section {
	products := section{title: "Products", library: true,
		text: "y (M, N) = x (M, K) · Wᵀ from bf16, with float32 sums; the second figure is the share of " +
			"cuBLASLt's speed."}
	for _, p := range s.products {
		products.jobs = append(products.jobs, productJob(p))
	}
	training := section{title: "Training steps", text: fmt.Sprintf("An adapter of rank %d on all linear maps, %d "+
		"sequences of %d tokens, a loss on every token. QLoRA has the linear maps in four bits.", rank, s.sequences,
		s.tokens)}
	scoring := section{title: "Perplexity", text: "Log-probabilities of every token of the same sequences."}
	decoding := section{title: "Decoding", text: fmt.Sprintf("Streams that share a prompt of %d tokens draw %d tokens "+
		"each, at temperature 1; the prompt is not timed.", s.prompt, s.drawn)}
	trees := section{title: "One search tree", text: fmt.Sprintf("%d iterations of the search of package search, four "+
		"children a node, fragments of %d tokens, behind a prompt of %d; drawn tokens a second. Predicted are four "+
		"streams at a time.", s.searches, s.fragment, s.prompt)}
	for _, m := range s.shapes {
		training.jobs = append(training.jobs, s.training(m, bf16), s.training(m, nf4))
		scoring.jobs = append(scoring.jobs, s.scoring(m))
		for _, n := range s.streams {
			decoding.jobs = append(decoding.jobs, s.decoding(m, n))
		}
		trees.jobs = append(trees.jobs, s.tree(m))
	}
	return []section{products, training, scoring, decoding, trees}
}

func productJob(p [3]int) *job {
	w := product(float64(p[0]), float64(p[1]), float64(p[2]))
	return &job{name: fmt.Sprintf("%d × %d × %d", p[0], p[1], p[2]), unit: "TFLOP/s", scale: w.flops / 1e12, work: w,
		open: func(b *bench) (turn, error) { return b.product(p) }}
}

func (s sizes) training(m shape, q quantization) *job {
	name := "LoRA"
	if q == nf4 {
		name = "QLoRA"
	}
	cfg := s.trainConfig()
	j := &job{name: m.name + " " + name, unit: "tokens/s", scale: float64(s.sequences * s.tokens),
		work: m.step(float64(s.sequences), float64(s.tokens), q),
		open: func(b *bench) (turn, error) { return b.step(m, q, s) }}
	if need, err := train.Need(m.config, cfg, true); err == nil {
		j.needs = m.weightBytes(q) + float64(need.Sum())
	}
	return j
}

func (s sizes) trainConfig() train.Config {
	c := train.Default()
	c.Rank, c.Alpha, c.Tokens = rank, 2*rank, s.sequences*s.tokens
	return c
}

func (s sizes) scoring(m shape) *job {
	t := float64(s.sequences * s.tokens)
	return &job{name: m.name, unit: "tokens/s", scale: t, needs: m.weightBytes(bf16),
		work: m.forward(t, t, bf16).plus(m.attention(float64(s.tokens)).times(float64(s.sequences))),
		open: func(b *bench) (turn, error) { return b.score(m, s) }}
}

func (s sizes) decoding(m shape, streams int) *job {
	n, context := float64(streams), float64(s.prompt+s.drawn/2)
	return &job{name: fmt.Sprintf("%s, %d streams", m.name, streams), unit: "tokens/s", scale: n * float64(s.drawn),
		needs: m.weightBytes(bf16), work: m.decode(n, context).times(float64(s.drawn)),
		open: func(b *bench) (turn, error) { return b.decode(m, streams, s) }}
}

// tree predicts four streams that decode one behind the other.
func (s sizes) tree(m shape) *job {
	const width, fragments = 4, 4
	tokens := float64(s.searches * width * s.fragment * fragments)
	return &job{name: m.name, unit: "tokens/s", scale: tokens, needs: m.weightBytes(bf16),
		work: m.decode(width, float64(s.prompt)).times(tokens / width).plus(m.forward(float64(s.prompt), 1, bf16)),
		open: func(b *bench) (turn, error) { return b.tree(m, s) }}
}
