package schemas

// Score says how hard an example of the replay buffer is for the policy of the round: the
// perplexity of its reference, Eq. 4, and, if the run asks for them, its own answers.
//
// Version 1 had no answers; it is read as if none had been asked for.
type Score struct {
	ExampleID  string  `arrow:"example_id"` // the example scored
	Perplexity float64 `arrow:"perplexity"` // exp(mean NLL) over the answer's tokens, end-of-turn included
	Tokens     int32   `arrow:"tokens"`     // how many tokens that mean is over
	HasCall    bool    `arrow:"has_call"`   // the reference holds a call: the stratum
	Answered   bool    `arrow:"answered"`   // the policy answered greedily
	ErrorType  string  `arrow:"error_type"` // … and wrongly: the paper's deficiency type; "": rightly, or not answered
	Draws      int32   `arrow:"draws"`      // answers drawn at temperature 1; 0: none
	Right      int32   `arrow:"right"`      // … of which so many are right
}

func (Score) Schema() string { return "score/v2" }

// Upgrade reads version 1.
func (Score) Upgrade(b Batch) ([]Score, error) {
	old, err := Decode[scoreV1](b)
	if err != nil {
		return nil, err
	}
	rows := make([]Score, len(old))
	for i, o := range old {
		rows[i] = Score{ExampleID: o.ExampleID, Perplexity: o.Perplexity, Tokens: o.Tokens, HasCall: o.HasCall}
	}
	return rows, nil
}

// scoreV1 is the record before examples were answered.
type scoreV1 struct {
	ExampleID  string  `arrow:"example_id"`
	Perplexity float64 `arrow:"perplexity"`
	Tokens     int32   `arrow:"tokens"`
	HasCall    bool    `arrow:"has_call"`
}

func (scoreV1) Schema() string { return "score/v1" }
