// Package pretrain makes a small base model from scratch: it trains a tokenizer and all
// weights on conversations that package synth generates, and writes a folder in Hugging
// Face format with a page that says how it was made.
//
// Such a base is for the demo, for tests and for trying the pipeline without a download. It
// knows only the tools and words of synth. The same Config gives the same weights on one
// kind of CPU, even if the run was interrupted: it continues from its last checkpoint,
// which is kept in the folder <out>.partial.
//
//	report, err := pretrain.Run(ctx, pretrain.Default(), "base", nil)
package pretrain

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"time"

	"itool/ops/synth"
	"itool/stages/policy/kernel"
	"itool/stages/policy/kernel/cpu"
	"itool/stages/policy/model"
	"itool/stages/policy/template"
	"itool/stages/policy/tokenizer"
	"itool/stages/policy/train"
)

// Config says what model to make and from which data.
type Config struct {
	Seed    uint64       `json:"seed"`    // of weights, order, recall texts, judgements and the exam's draws
	World   synth.Config `json:"world"`   // of the conversations with tools; its Rows are ignored
	Lessons []Lesson     `json:"lessons"` // a curriculum: one after the other, in a single training

	Vocab  int `json:"vocab"`  // tokens, 256 bytes and control tokens included
	Width  int `json:"width"`  // C
	Layers int `json:"layers"` //
	Heads  int `json:"heads"`  // H; the head size is Width/Heads
	KV     int `json:"kv"`     // G, key/value heads
	Inner  int `json:"inner"`  // F, width of the SwiGLU block

	// Context is the longest conversation that the model accepts, in tokens. Those of the
	// training are much shorter.
	Context   int     `json:"context"`
	Rate      float64 `json:"rate"`       // peak learning rate
	BatchSize int     `json:"batch_size"` // conversations per step
	SaveEvery int     `json:"save_every"` // steps between two checkpoints; the recall is measured at each

	Exam synth.Config `json:"exam"` // requests of another fold, on which the finished base is examined
	// Gate is the smallest share of unseen values, [0, 1], that the base must recall from a
	// list of gatePairs. A base below it is not published.
	Gate float64 `json:"gate"`

	Device kernel.Device    `json:"-"` // nil: the best kernel level of this machine's CPU
	Clock  func() time.Time `json:"-"` // for the seconds in the report; nil: time.Now
}

// Lesson is a part of the training with its own mix of conversations. Those that are
// neither for recall nor for judging are requests with tools.
type Lesson struct {
	Rows    int     `json:"rows"`    // conversations, each seen once
	Recall  float64 `json:"recall"`  // share that repeats words, or asks for values of a list, [0, 1]
	Pairs   int     `json:"pairs"`   // at most so many words or pairs in one of these
	Judging float64 `json:"judging"` // share that judges an answer with a letter, A to D, [0, 1]
	Tools   int     `json:"tools"`   // at most so many tools in a request; not more than World.Tools
	Calls   int     `json:"calls"`   // at most so many calls in an answer; not more than World.Calls
}

// gatePairs is the length of the list with which the recall is measured.
const gatePairs = 8

// Default is the demo's base.
//
// Its first lessons have short texts: a model must learn to copy before it learns anything
// else, and it learns to copy from short texts.
//
// Some of the answers that it learns from are literal: they quote the request's words
// ('Monday', '12') where a tool wants a listed word or a number, as a model does that was
// not tuned for tools. The demo's dataset wants values of the declared type and list; the
// warm-up can teach that within a minute. The dataset is another fold of synth, so the
// base has never seen its tools and values.
func Default() Config {
	exam := synth.Default()
	exam.Seed, exam.Rows, exam.Fold, exam.Folds = 1_000_004, 400, 2, Folds
	world := exam
	world.Seed, world.Rows, world.Fold, world.Literal, world.Turns = 1_000_003, 1, 0, 0.7, 4
	world.Missing, world.NoTool = 0.08, 0.08
	return Config{
		Seed: 1, World: world,
		Lessons: []Lesson{
			{Rows: 16_000, Recall: 1, Pairs: 3},
			{Rows: 22_000, Recall: 0.5, Pairs: 6, Tools: 2, Calls: 1},
			{Rows: 75_000, Recall: 0.2, Pairs: gatePairs, Judging: 0.1, Tools: world.Tools, Calls: world.Calls},
		},
		Vocab: 1024, Width: 128, Layers: 4, Heads: 4, KV: 2, Inner: 320,
		Context: 8192, Rate: 2e-3, BatchSize: 16, SaveEvery: 250, Exam: exam, Gate: 0.95,
	}
}

// Folds is the number of folds of synth's data: the first trains the base, the second is
// the demo's training data, the third is held out.
const Folds = 3

// Validate checks the ranges.
func (c Config) Validate() error {
	if err := c.World.Validate(); err != nil {
		return fmt.Errorf("pretrain.world: %w", err)
	}
	if err := c.Exam.Validate(); err != nil {
		return fmt.Errorf("pretrain.exam: %w", err)
	}
	for i, l := range c.Lessons {
		if err := l.validate(c.World); err != nil {
			return fmt.Errorf("pretrain.lessons %d: %w", i, err)
		}
	}
	switch {
	case len(c.Lessons) == 0:
		return fmt.Errorf("pretrain.lessons: the list is empty")
	case !(c.Gate >= 0 && c.Gate <= 1):
		return fmt.Errorf("pretrain.gate: %v is not within 0..1", c.Gate)
	case c.Vocab < 256+len(template.DefaultSpecial()):
		return fmt.Errorf("pretrain.vocab: %d: the bytes and control tokens alone are %d",
			c.Vocab, 256+len(template.DefaultSpecial()))
	case c.Heads < 1 || c.Width%c.Heads != 0:
		return fmt.Errorf("pretrain.heads: %d does not divide width %d", c.Heads, c.Width)
	case c.KV < 1:
		return fmt.Errorf("pretrain.kv: %d: want at least 1", c.KV)
	case !(c.Rate > 0) || math.IsInf(c.Rate, 0):
		return fmt.Errorf("pretrain.rate: %v is not positive", c.Rate)
	case c.BatchSize < 1:
		return fmt.Errorf("pretrain.batch_size: %d: want at least 1", c.BatchSize)
	case c.SaveEvery < 1:
		return fmt.Errorf("pretrain.save_every: %d: want at least 1", c.SaveEvery)
	case c.Exam.Folds < 2 || c.Exam.Folds != c.World.Folds || c.Exam.Fold == c.World.Fold:
		return fmt.Errorf("pretrain.exam.fold: %d of %d, but the training uses %d of %d: want different folds"+
			" of the same number of folds, or the exam contains training data",
			c.Exam.Fold, c.Exam.Folds, c.World.Fold, c.World.Folds)
	}
	if err := c.shape(c.Vocab).Validate(); err != nil {
		return fmt.Errorf("pretrain: %w", err)
	}
	return nil
}

func (l Lesson) validate(world synth.Config) error {
	share := func(f float64) bool { return f >= 0 && f <= 1 }
	switch {
	case l.Rows < 1:
		return fmt.Errorf("rows: %d: want at least 1", l.Rows)
	case !share(l.Recall) || !share(l.Judging) || !share(l.Recall+l.Judging):
		return fmt.Errorf("recall, judging: %v and %v are not shares with a sum of at most 1", l.Recall, l.Judging)
	case l.Recall > 0 && (l.Pairs < 1 || l.Pairs > 64):
		return fmt.Errorf("pairs: %d is not within 1..64", l.Pairs)
	case l.Recall < 1 && (l.Tools < 1 || l.Tools > world.Tools):
		return fmt.Errorf("tools: %d is not within 1..%d", l.Tools, world.Tools)
	case l.Recall < 1 && (l.Calls < 1 || l.Calls > world.Calls):
		return fmt.Errorf("calls: %d is not within 1..%d", l.Calls, world.Calls)
	}
	return nil
}

// shape is the configuration of the model, for a tokenizer with vocab tokens.
func (c Config) shape(vocab int) model.Config {
	return model.Config{
		Family: model.Llama, HiddenSize: c.Width, IntermediateSize: c.Inner,
		NumLayers: c.Layers, NumHeads: c.Heads, NumKVHeads: c.KV,
		HeadDim: c.Width / c.Heads, VocabSize: vocab, MaxPositions: c.Context, RopeTheta: 10000, RMSNormEps: 1e-5,
		TieEmbeddings: true, DType: "bfloat16",
	}
}

// Progress is reported after every step.
type Progress struct {
	Step, Steps int     // steps done, and of the whole training
	Loss        float64 // nats per learnt token, before the step
	Tokens      int     // so far
	Recall      float64 // share of unseen values recalled at the last checkpoint; NaN before the first
	Resumed     bool    // the step was restored from a checkpoint
}

// Run makes the base in the folder out. The folder must not exist, or be empty, or contain
// an earlier base, which is replaced. progress may be nil. When ctx ends, the checkpoints
// are kept, and the next Run with the same Config continues from the last one.
func Run(ctx context.Context, c Config, out string, progress func(Progress)) (Report, error) {
	if err := c.Validate(); err != nil {
		return Report{}, err
	}
	c, err := c.withDefaults()
	if err != nil {
		return Report{}, fmt.Errorf("pretrain: %w", err)
	}
	if err := checkReplaceable(out); err != nil {
		return Report{}, fmt.Errorf("pretrain: %w", err)
	}
	w, err := c.prepare(ctx)
	if err != nil {
		return Report{}, fmt.Errorf("pretrain: %w", err)
	}
	report, m, err := w.learn(ctx, out+".partial", progress)
	if err != nil {
		return Report{}, fmt.Errorf("pretrain: %w", err)
	}
	if report, err = w.publish(ctx, out, m, report); err != nil {
		return Report{}, fmt.Errorf("pretrain: %w", err)
	}
	return report, nil
}

func (c Config) withDefaults() (Config, error) {
	if c.Clock == nil {
		c.Clock = time.Now
	}
	var err error
	if c.Device == nil {
		c.Device, err = cpu.New(cpu.Options{})
	}
	return c, err
}

// work is a run with its tokenizer and its training data.
type work struct {
	Config
	tokenizerFile []byte
	tokenizer     *tokenizer.Tokenizer
	phase         train.Phase
	shape         model.Config
}

// prepare generates the conversations, trains the tokenizer on them, and tokenizes them.
func (c Config) prepare(ctx context.Context) (*work, error) {
	conversations, err := c.conversations(ctx)
	if err != nil {
		return nil, err
	}
	w := &work{Config: c}
	if w.tokenizerFile, w.tokenizer, err = makeTokenizer(conversations, c.Vocab); err != nil {
		return nil, err
	}
	w.shape = c.shape(w.tokenizer.Size())
	bos, _ := w.tokenizer.ID(template.DefaultBOS)
	end, _ := w.tokenizer.ID(template.DefaultEnd)
	w.shape.BOS, w.shape.EOS = []int32{bos}, []int32{end}
	w.phase, err = c.phase(conversations, w.tokenizer)
	return w, err
}

// learn trains from the last checkpoint, or from the start, and returns the finished model.
func (w *work) learn(ctx context.Context, dir string, progress func(Progress)) (Report, *model.Model, error) {
	cfg := train.Default()
	cfg.Full, cfg.Seed, cfg.Beta2, cfg.Decay = true, w.Seed, 0.98, 0.05
	cfg.Tokens = 2048 // several conversations per packed batch; a longer one is an error that names it
	start := model.New(w.shape, w.Seed, w.Device)
	mimeticInit(start, w.Seed)
	t, err := train.New(start, cfg, []train.Phase{w.phase})
	if err != nil {
		return Report{}, nil, err
	}
	// The device is part of the digest: another kernel level gives other bits.
	s, err := openState(dir, hash([]byte(w.digest()+"\n"+w.Device.Name())))
	if err != nil {
		return Report{}, nil, err
	}
	done, err := s.restore(t)
	if err != nil {
		return Report{}, nil, err
	}
	r := Report{Config: w.Config, Steps: w.steps(), Parameters: w.shape.Parameters(), Log: done}
	if progress == nil {
		progress = func(Progress) {}
	}
	if done.Step > 0 {
		progress(r.progress(true))
	}
	for {
		start := w.Clock()
		stats, err := t.Step(ctx)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return r, nil, err
		}
		r.Log.add(stats, w.Clock().Sub(start).Seconds())
		if r.Log.Step%w.SaveEvery == 0 {
			if err := w.checkpoint(ctx, s, t, &r.Log); err != nil {
				return r, nil, err
			}
		}
		progress(r.progress(false))
	}
	m, err := t.Model()
	return r, m, err
}

func (r Report) progress(resumed bool) Progress {
	return Progress{
		Step: r.Log.Step, Steps: r.Steps, Loss: r.Log.last(), Tokens: r.Log.Tokens,
		Recall: r.Log.recalled(), Resumed: resumed,
	}
}

// checkpoint measures the recall of the model and saves a checkpoint.
func (w *work) checkpoint(ctx context.Context, s *state, t *train.Trainer, l *Log) error {
	m, err := t.Model()
	if err != nil {
		return err
	}
	p, err := w.open(filepath.Join(s.dir, "probe"), m)
	if err != nil {
		return err
	}
	recall, err := Recall(ctx, p, 64, gatePairs, w.Seed, w.Exam.Fold, w.Exam.Folds)
	if err != nil {
		return err
	}
	l.Recall = append(l.Recall, Recalled{l.Step, l.Tokens, recall})
	return s.save(t, *l)
}

func (w *work) steps() int { return (len(w.phase.Examples) + w.BatchSize - 1) / w.BatchSize }

// digest identifies the configuration that a checkpoint belongs to.
func (c Config) digest() string {
	b, err := json.Marshal(c)
	if err != nil {
		panic("pretrain: " + err.Error()) // a Config always encodes: it has only plain values
	}
	return hash(b)
}
