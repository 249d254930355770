package schemas

// Score is the policy's perplexity on one example of the replay buffer, Eq. 4.
type Score struct {
	ExampleID  string  `arrow:"example_id"` // the example scored
	Perplexity float64 `arrow:"perplexity"` // exp(mean NLL) over the answer's tokens, end-of-turn included
	Tokens     int32   `arrow:"tokens"`     // how many tokens that mean is over
	HasCall    bool    `arrow:"has_call"`   // the reference holds a call: the stratum
}

func (Score) Schema() string { return "score/v1" }
