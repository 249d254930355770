package schemas

// Selection lists the examples that a round expands, hardest first within each
// stratum. Every scored example has a row, so that none is lost silently.
type Selection struct {
	ExampleID  string  `arrow:"example_id"` // the example
	Perplexity float64 `arrow:"perplexity"` // as scored
	HasCall    bool    `arrow:"has_call"`   // the stratum
	Rank       int32   `arrow:"rank"`       // within the stratum, from 0
	Selected   bool    `arrow:"selected"`   // expanded in this round

	// Calibration of the self-evaluation for this round's policy; the same on every row.
	JudgeWeight float64 `arrow:"judge_weight"` // 1: C counts in the reward, 0: it does not
	JudgeAUC    float64 `arrow:"judge_auc"`    // of C against O on validation; NaN: one class only
	JudgeMass   float64 `arrow:"judge_mass"`   // mean probability mass on the four letters
	JudgeReason string  `arrow:"judge_reason"` // why C does or does not count
}

func (Selection) Schema() string { return "selection/v1" }
