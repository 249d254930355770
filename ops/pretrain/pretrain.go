// Package pretrain makes a small base model out of nothing: it trains a tokenizer
// and all weights from scratch on conversations that synth makes, and writes a
// folder in Hugging Face format with a page that says how it was made.
//
// Such a base is for the demo, for tests and for trying the line without a
// download; it knows the world of synth and nothing else. The same Config gives the
// same weights on one kind of CPU, however often the run was interrupted: it goes
// on from its last checkpoint, which lies beside the folder as <out>.partial.
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
	"time"

	"itool/ops/synth"
	"itool/stages/policy/kernel"
	"itool/stages/policy/kernel/cpu"
	"itool/stages/policy/model"
	"itool/stages/policy/template"
	"itool/stages/policy/tokenizer"
	"itool/stages/policy/train"
)

// Config is what to make. World.Rows is how many conversations are made; each is
// seen once.
type Config struct {
	Seed    uint64       `json:"seed"`    // of weights, order, judgements and the exam's draws
	World   synth.Config `json:"world"`   // the conversations
	Judging float64      `json:"judging"` // share of conversations that judge another's answer, A to D, [0, 1)

	Vocab  int `json:"vocab"`  // tokens, 256 bytes and control tokens included
	Width  int `json:"width"`  // C
	Layers int `json:"layers"` //
	Heads  int `json:"heads"`  // H; the head size is Width/Heads
	KV     int `json:"kv"`     // G, key/value heads
	Inner  int `json:"inner"`  // F, width of the SwiGLU block

	Context   int     `json:"context"`    // longest conversation the model takes, in tokens; those it is made from are much shorter
	Rate      float64 `json:"rate"`       // peak learning rate
	BatchSize int     `json:"batch_size"` // conversations per step
	Answers   float64 `json:"answers"`    // share of conversations, the last ones, whose answers alone are learnt, [0, 1)
	SaveEvery int     `json:"save_every"` // steps between two checkpoints

	Exam synth.Config `json:"exam"` // requests of another fold that the finished base is examined on

	Device kernel.Device    `json:"-"` // nil: the best of this machine's CPU
	Clock  func() time.Time `json:"-"` // for the seconds in the report; nil: the machine's
}

// Default is the demo's base. Half of the answers that it learns from are literal,
// while the demo's dataset wants values of the declared type and list: warming it up
// can mend that within a minute. A base of the dataset's own distribution would gain
// nothing (measured), and one that saw literal answers only never wrote the tokens
// around a bare number, which an adapter cannot teach it (measured: 10 % exact,
// 11 % after warming up).
//
// Answers come early: a loss on the requests as well is mostly a loss on chance,
// and three million tokens of it taught less than one million without.
func Default() Config {
	exam := synth.Default()
	exam.Seed, exam.Rows, exam.Fold, exam.Folds = 1_000_004, 300, 1, 2
	world := exam
	world.Seed, world.Rows, world.Fold, world.Literal = 1_000_003, 75_000, 0, 0.5
	return Config{
		Seed: 1, World: world, Judging: 0.1,
		Vocab: 1024, Width: 128, Layers: 4, Heads: 4, KV: 2, Inner: 320,
		Context: 8192, Rate: 4e-3, BatchSize: 16, Answers: 0.95, SaveEvery: 250, Exam: exam,
	}
}

// Validate checks the ranges.
func (c Config) Validate() error {
	if err := c.World.Validate(); err != nil {
		return fmt.Errorf("pretrain.world: %w", err)
	}
	if err := c.Exam.Validate(); err != nil {
		return fmt.Errorf("pretrain.exam: %w", err)
	}
	share := func(f float64) bool { return f >= 0 && f < 1 }
	switch {
	case !share(c.Judging):
		return fmt.Errorf("pretrain.judging: %v is not within [0, 1)", c.Judging)
	case !share(c.Answers):
		return fmt.Errorf("pretrain.answers: %v is not within [0, 1)", c.Answers)
	case c.Vocab < 256+len(template.DefaultSpecial()):
		return fmt.Errorf("pretrain.vocab: %d: the bytes and control tokens alone are %d", c.Vocab, 256+len(template.DefaultSpecial()))
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
		return fmt.Errorf("pretrain.exam.fold: %d of %d beside %d of %d for learning: want two folds of the same number, or the exam asks what was learnt",
			c.Exam.Fold, c.Exam.Folds, c.World.Fold, c.World.Folds)
	}
	if err := c.shape(c.Vocab).Validate(); err != nil {
		return fmt.Errorf("pretrain: %w", err)
	}
	return nil
}

// shape is the model's, for a tokenizer of the given size.
func (c Config) shape(vocab int) model.Config {
	return model.Config{
		HiddenSize: c.Width, IntermediateSize: c.Inner, NumLayers: c.Layers, NumHeads: c.Heads, NumKVHeads: c.KV,
		HeadDim: c.Width / c.Heads, VocabSize: vocab, MaxPositions: c.Context, RopeTheta: 10000, RMSNormEps: 1e-5,
		TieEmbeddings: true, DType: "bfloat16",
	}
}

// Progress is one step done.
type Progress struct {
	Phase       string  // conversations, or answers
	Step, Steps int     // done, of all phases together
	Loss        float64 // nats per learnt token, before the step
	Tokens      int     // so far
	Resumed     bool    // the step was read from a checkpoint
}

// Run makes the base in the folder out, which must not exist, be empty, or hold an
// earlier base. progress may be nil. When ctx ends, the work done is kept for the
// next Run with the same Config.
func Run(ctx context.Context, c Config, out string, progress func(Progress)) (Report, error) {
	if err := c.Validate(); err != nil {
		return Report{}, err
	}
	c, err := c.complete()
	if err != nil {
		return Report{}, fmt.Errorf("pretrain: %w", err)
	}
	if err := replaceable(out); err != nil {
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

func (c Config) complete() (Config, error) {
	if c.Clock == nil {
		c.Clock = time.Now
	}
	var err error
	if c.Device == nil {
		c.Device, err = cpu.New(cpu.Options{})
	}
	return c, err
}

// work is a run that has its texts and tokens.
type work struct {
	Config
	tokenizerFile []byte
	tokenizer     *tokenizer.Tokenizer
	phases        []train.Phase
	shape         model.Config
}

// prepare makes the conversations, the tokenizer from them, and the ids.
func (c Config) prepare(ctx context.Context) (*work, error) {
	talks, err := c.conversations(ctx)
	if err != nil {
		return nil, err
	}
	w := &work{Config: c}
	if w.tokenizerFile, w.tokenizer, err = makeTokenizer(talks, c.Vocab); err != nil {
		return nil, err
	}
	w.shape = c.shape(w.tokenizer.Size())
	bos, _ := w.tokenizer.ID(template.DefaultBOS)
	end, _ := w.tokenizer.ID(template.DefaultEnd)
	w.shape.BOS, w.shape.EOS = []int32{bos}, []int32{end}
	w.phases, err = c.phases(talks, w.tokenizer)
	return w, err
}

// learn trains, or goes on training, and returns the finished model.
func (w *work) learn(ctx context.Context, dir string, progress func(Progress)) (Report, *model.Model, error) {
	cfg := train.Default()
	cfg.Full, cfg.Seed, cfg.Beta2, cfg.Decay = true, w.Seed, 0.98, 0.05
	cfg.Tokens = 2048 // several conversations a pack; a longer one is an error that names it
	t, err := train.New(model.New(w.shape, w.Seed, w.Device), cfg, w.phases)
	if err != nil {
		return Report{}, nil, err
	}
	s, err := openState(dir, w.digest())
	if err != nil {
		return Report{}, nil, err
	}
	done, err := s.restore(t)
	if err != nil {
		return Report{}, nil, err
	}
	r := Report{Config: w.Config, Steps: w.steps(), Parameters: w.parameters(), Log: done}
	if progress == nil {
		progress = func(Progress) {}
	}
	if done.Step > 0 {
		progress(Progress{Step: done.Step, Steps: r.Steps, Loss: done.last(), Tokens: done.Tokens, Resumed: true})
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
		progress(Progress{Phase: stats.Phase, Step: r.Log.Step, Steps: r.Steps, Loss: stats.Loss, Tokens: r.Log.Tokens})
		if r.Log.Step%w.SaveEvery == 0 {
			if err := s.save(t, r.Log); err != nil {
				return r, nil, err
			}
		}
	}
	m, err := t.Model()
	return r, m, err
}

func (w *work) steps() int {
	n := 0
	for _, p := range w.phases {
		n += (len(p.Examples) + p.BatchSize - 1) / p.BatchSize
	}
	return n
}

// parameters counts each weight once; the head is the embedding.
func (w *work) parameters() int {
	s := w.shape
	attention := 2*s.NumHeads*s.HeadDim + 2*s.NumKVHeads*s.HeadDim
	return s.HiddenSize * (s.VocabSize + s.NumLayers*(attention+3*s.IntermediateSize+2) + 1)
}

// digest names what a checkpoint belongs to.
func (c Config) digest() string {
	b, err := json.Marshal(c)
	if err != nil {
		panic("pretrain: " + err.Error()) // plain numbers
	}
	return hash(b)
}
