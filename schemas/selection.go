package schemas

// Selection lists the examples that a round expands, in the order in which they were chosen
// within each stratum. Every scored example has a row, so that none is lost silently.
//
// Version 2 had no answers, no answers_ columns and no reference_tokens; it is read as if they had not
// been counted.
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

	// Headroom of this round's policy, on validation examples whose reference holds a
	// call; the same on every row. These are counts, so that a reader can compute how
	// certain they are. Greedy right and every draw wrong: Greedy − (Sampled − Won).
	HeadroomDraws   int32 `arrow:"headroom_draws"`   // answers per example drawn at temperature 1; 0: not measured
	HeadroomCases   int32 `arrow:"headroom_cases"`   // examples asked
	HeadroomGreedy  int32 `arrow:"headroom_greedy"`  // … whose greedy answer is right
	HeadroomSampled int32 `arrow:"headroom_sampled"` // … of which at least one draw is right
	HeadroomWon     int32 `arrow:"headroom_won"`     // … of which a draw is right and the greedy answer wrong

	// Lengths; the same on every row.
	Answers         int32 `arrow:"answers"`          // of validation examples, for calibration and headroom together
	AnswersCut      int32 `arrow:"answers_cut"`      // … that reached the limit
	AnswersLimit    int32 `arrow:"answers_limit"`    // most tokens of such an answer
	AnswersTokens   int32 `arrow:"answers_tokens"`   // all but one in twenty have at most so many tokens
	ReferenceTokens int32 `arrow:"reference_tokens"` // of the longest reference of selected or answered examples
}

func (Selection) Schema() string { return "selection/v3" }

// Upgrade reads version 2.
func (Selection) Upgrade(b Batch) ([]Selection, error) {
	old, err := Decode[selectionV2](b)
	if err != nil {
		return nil, err
	}
	rows := make([]Selection, len(old))
	for i, o := range old {
		rows[i] = Selection{
			ExampleID: o.ExampleID, Perplexity: o.Perplexity, HasCall: o.HasCall, Rank: o.Rank, Selected: o.Selected,
			JudgeWeight: o.JudgeWeight, JudgeAUC: o.JudgeAUC, JudgeMass: o.JudgeMass, JudgeReason: o.JudgeReason,
			HeadroomDraws: o.HeadroomDraws, HeadroomCases: o.HeadroomCases, HeadroomGreedy: o.HeadroomGreedy,
			HeadroomSampled: o.HeadroomSampled, HeadroomWon: o.HeadroomWon,
		}
	}
	return rows, nil
}

// selectionV2 is the record before answers that ran out of length were counted.
type selectionV2 struct {
	ExampleID       string  `arrow:"example_id"`
	Perplexity      float64 `arrow:"perplexity"`
	HasCall         bool    `arrow:"has_call"`
	Rank            int32   `arrow:"rank"`
	Selected        bool    `arrow:"selected"`
	JudgeWeight     float64 `arrow:"judge_weight"`
	JudgeAUC        float64 `arrow:"judge_auc"`
	JudgeMass       float64 `arrow:"judge_mass"`
	JudgeReason     string  `arrow:"judge_reason"`
	HeadroomDraws   int32   `arrow:"headroom_draws"`
	HeadroomCases   int32   `arrow:"headroom_cases"`
	HeadroomGreedy  int32   `arrow:"headroom_greedy"`
	HeadroomSampled int32   `arrow:"headroom_sampled"`
	HeadroomWon     int32   `arrow:"headroom_won"`
}

func (selectionV2) Schema() string { return "selection/v2" }
