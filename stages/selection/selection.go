// Package selection chooses the examples that a round expands. It reads all scores of
// the round, ranks the examples of each stratum (order.go) and marks the first, by default
// the hardest. On the wire the stage is called select.
//
// It also measures the policy of the round on validation examples (panel.go): whether
// its self-evaluation may count in the reward (calibrate.go), how much the round can
// gain at most (headroom.go), and how many answers run out of length (lengths.go). Every
// row of the result holds these numbers.
//
// What cannot be measured is said in the row's judge_reason and does not fail the item.
// The perplexities come from the score stage; this stage only ranks them.
package selection

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sort"
	"strings"

	"itool/schemas"
	"itool/stages"
	"itool/stages/policy"
)

// Config is the section "select" of a run's configuration.
type Config struct {
	Ratio float64 `json:"ratio"` // share of each stratum to expand, 0..1; the paper's 10 %
	// Order says which examples come first: perplexity, the hardest; random, the baseline;
	// mixed, those that some of score.draws answers get right and some wrong; errors, those
	// whose greedy answer is wrong (score.greedy), spread evenly over the types of errors.
	Order         string  `json:"order"`
	MaxTrees      int     `json:"max_trees"`      // most examples per round, but one per stratum; 0 = no limit
	SelfEval      string  `json:"self_eval"`      // "auto" (counts if the calibration is good), "on" or "off"
	JudgeExamples int     `json:"judge_examples"` // validation examples that calibrate the self-evaluation, ≥ 0
	MinMass       float64 `json:"min_mass"`       // least mean probability of the four letters, 0..1
	MinAUC        float64 `json:"min_auc"`        // least AUC of C against O, 0..1
	MaxTokens     int     `json:"max_tokens"`     // of an answer for the calibration or the headroom

	// HeadroomDraws is k: the headroom is pass@k of draws at temperature 1, minus the
	// greedy pass rate, on validation examples. 0: not measured.
	HeadroomDraws int `json:"headroom_draws"`
	// HeadroomExamples bounds the validation examples with calls that the headroom is
	// measured on, ≥ 0. Each costs 1 + k answers.
	HeadroomExamples int `json:"headroom_examples"`

	SelfEvalReference bool `json:"self_eval_reference"` // show the reference to the self-evaluation; as in expand
}

// Default is what the paper and the design say.
func Default() Config {
	return Config{
		Ratio: 0.10, Order: OrderPerplexity,
		SelfEval: "auto", JudgeExamples: 32, MinMass: 0.5, MinAUC: 0.7, MaxTokens: 256,
		HeadroomDraws: 4, HeadroomExamples: 128, SelfEvalReference: true,
	}
}

// Validate names field, value and range.
func (c Config) Validate() error {
	switch {
	case !(c.Ratio > 0 && c.Ratio <= 1):
		return fmt.Errorf("select.ratio: %g is not within 0..1", c.Ratio)
	case !slices.Contains(orders, c.Order):
		return fmt.Errorf("select.order: %q is none of %s", c.Order, strings.Join(orders, ", "))
	case c.MaxTrees < 0:
		return fmt.Errorf("select.max_trees: %d is below 0", c.MaxTrees)
	case c.SelfEval != "auto" && c.SelfEval != "on" && c.SelfEval != "off":
		return fmt.Errorf("select.self_eval: %q is none of auto, on, off", c.SelfEval)
	case c.JudgeExamples < 0:
		return fmt.Errorf("select.judge_examples: %d is below 0", c.JudgeExamples)
	case !(c.MinMass >= 0 && c.MinMass <= 1):
		return fmt.Errorf("select.min_mass: %g is not within 0..1", c.MinMass)
	case !(c.MinAUC >= 0 && c.MinAUC <= 1):
		return fmt.Errorf("select.min_auc: %g is not within 0..1", c.MinAUC)
	case c.MaxTokens <= 0:
		return fmt.Errorf("select.max_tokens: %d is not positive", c.MaxTokens)
	case c.HeadroomDraws < 0:
		return fmt.Errorf("select.headroom_draws: %d is below 0", c.HeadroomDraws)
	case c.HeadroomExamples < 0:
		return fmt.Errorf("select.headroom_examples: %d is below 0", c.HeadroomExamples)
	}
	return nil
}

// Stage turns the scores of a round into its selection.
type Stage struct{ engine *policy.Engine }

// New returns the stage; it opens policies through engine.
func New(engine *policy.Engine) *Stage { return &Stage{engine} }

// Spec implements stages.Stage.
func (*Stage) Spec() stages.Spec {
	return stages.Spec{
		Name: "select", Wakes: schemas.RecordScore, Gather: true, Reads: schemas.Score{}.Schema(),
		Also:   []string{schemas.RecordExample},
		Writes: schemas.RecordSelection, Schema: schemas.Selection{}.Schema(),
		Judges: true, Asks: true,
	}
}

// Process ranks all scores of the round. Every scored example has a row in the result.
func (s *Stage) Process(ctx context.Context, in stages.Input, out stages.Output) error {
	cfg, err := stages.Config(in, Default())
	if err != nil {
		return err
	}
	scores, err := stages.Rows[schemas.Score](in.Batches)
	if err != nil {
		return err
	}
	rows := Rank(scores, cfg, in.Header.Seed)
	m, err := s.measure(ctx, cfg, in, out)
	if err != nil {
		return err
	}
	m.lengths.longest(scores, rows)
	if why := unordered(scores, cfg.Order); why != "" {
		m.calibration.reason += "; " + why
	}
	for i := range rows {
		m.calibration.writeTo(&rows[i])
		m.headroom.writeTo(&rows[i])
		m.lengths.writeTo(&rows[i])
	}
	return stages.Result(in, out, rows)
}

// measured is what the round's policy showed on validation examples.
type measured struct {
	calibration calibration
	headroom    headroom
	lengths     lengths
}

// measure measures the policy before the round searches with it.
func (s *Stage) measure(
	ctx context.Context, cfg Config, in stages.Input, out stages.Output,
) (m measured, err error) {
	m.calibration = calibration{auc: math.NaN(), mass: math.NaN(), reason: "switched off by select.self_eval"}
	calibrating, cases := cfg.JudgeExamples, cfg.HeadroomExamples
	if cfg.SelfEval == "off" {
		calibrating = 0
	}
	if cfg.HeadroomDraws == 0 {
		cases = 0
	}
	if cfg.SelfEval == "off" && cases == 0 {
		return m, nil
	}
	p, err := s.engine.Ask(ctx, in.Engine, in.PolicyDigest, in.Policy)
	if err != nil {
		return m, err
	}
	a, err := newPanel(in, p, calibrating, cases)
	if err != nil {
		return m, err
	}
	if err := a.ask(ctx, cfg, in, out); err != nil {
		return m, err
	}
	if cfg.SelfEval != "off" {
		if m.calibration, err = a.calibrate(ctx, cfg); err != nil {
			return m, err
		}
	}
	if a.unfit > 0 {
		m.calibration.reason += fmt.Sprintf("; %d validation examples cannot be asked or judged", a.unfit)
	}
	m.headroom, err = a.headroom(ctx, cfg, in, out)
	m.lengths = a.lengths
	return m, err
}

// Rank orders the examples of each stratum as cfg.Order says, ties by example ID, and marks
// the first share of each. The strata are references with a call and without. At least one
// example of a stratum is marked, if it has any. If max_trees is a limit, both strata
// give up the same share.
func Rank(scores []schemas.Score, cfg Config, seed uint64) []schemas.Selection {
	scores = slices.Clone(scores)
	arrange(scores, cfg.Order, seed)
	rows := make([]schemas.Selection, len(scores))
	for i, s := range scores {
		rows[i] = schemas.Selection{ExampleID: s.ExampleID, Perplexity: s.Perplexity, HasCall: s.HasCall}
	}
	ratio := cfg.Ratio
	bounded := cfg.MaxTrees > 0 && ratio*float64(len(rows)) > float64(cfg.MaxTrees)
	if bounded {
		ratio = float64(cfg.MaxTrees) / float64(len(rows))
	}
	calls := sort.Search(len(rows), func(i int) bool { return !rows[i].HasCall })
	for _, stratum := range [][]schemas.Selection{rows[:calls], rows[calls:]} {
		take := int(math.Round(ratio * float64(len(stratum))))
		if bounded { // rounding up in both strata would exceed the limit
			take = int(ratio*float64(len(stratum)) + 1e-9)
		}
		if take == 0 && len(stratum) > 0 {
			take = 1
		}
		for i := range stratum {
			stratum[i].Rank, stratum[i].Selected = int32(i), i < take
		}
	}
	return rows
}
