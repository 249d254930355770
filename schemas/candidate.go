package schemas

// Candidate is one node of a search tree. A batch is the whole tree in the order of
// creation, the root first. The root's tokens are the prompt; every other node's tokens are
// one fragment, so that no prefix is repeated.
type Candidate struct {
	Node      int32   `arrow:"node"`       // index in the batch
	Parent    int32   `arrow:"parent"`     // −1 for the root
	Tokens    []int32 `arrow:"tokens"`     // token ids of the fragment; of the prompt at the root
	Text      string  `arrow:"text"`       // of Tokens, for people; empty at the root
	LogProb   float64 `arrow:"log_prob"`   // mean log-probability per token at temperature 1, nats
	Prior     float64 `arrow:"prior"`      // p(a|s) normalised over siblings
	Visits    int32   `arrow:"visits"`     // N
	Q         float64 `arrow:"q"`          // Eq. 8
	V         float64 `arrow:"v"`          // Eq. 9
	Reward    float64 `arrow:"reward"`     // r(s,a) = R(s′) − R(s), Eq. 6
	Outcome   float64 `arrow:"outcome"`    // O: +1, −1 or, if graded, between; 0 at unfinished states
	SelfEval  float64 `arrow:"self_eval"`  // C of Eq. 7, 0 when it does not count
	Terminal  bool    `arrow:"terminal"`   // the answer ends here
	Cut       bool    `arrow:"cut"`        // … because it ran out of length
	Pass      bool    `arrow:"pass"`       // a terminal whose answer is right
	ErrorType string  `arrow:"error_type"` // the paper's deficiency type of a terminal that fails
	ExampleID string  `arrow:"example_id"` // the example at the root
}

func (Candidate) Schema() string { return "candidate/v1" }
