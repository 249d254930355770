package schemas

// Candidate is one node of a search tree. A batch is the whole tree in the order of
// creation, the root first. The root's tokens are the prompt; every other node's tokens are
// one fragment, so that no prefix is repeated.
//
// Version 1 did not have what the answers were judged by; it is read as if it were not known.
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

	// What the answers were judged by, as in the example; only at the root, empty below it.
	Tools      string `arrow:"tools"`      // JSON array of tool schemas
	Reference  string `arrow:"reference"`  // the answer to learn, as text
	Acceptable string `arrow:"acceptable"` // JSON of BFCL's possible answers; "": the reference is the only one
	Category   string `arrow:"category"`   // the benchmark's category, or ""
	Calls      int32  `arrow:"calls"`      // calls in the reference
}

func (Candidate) Schema() string { return "candidate/v2" }

// Upgrade reads version 1.
func (Candidate) Upgrade(b Batch) ([]Candidate, error) {
	old, err := Decode[candidateV1](b)
	if err != nil {
		return nil, err
	}
	rows := make([]Candidate, len(old))
	for i, o := range old {
		rows[i] = Candidate{
			Node: o.Node, Parent: o.Parent, Tokens: o.Tokens, Text: o.Text, LogProb: o.LogProb, Prior: o.Prior,
			Visits: o.Visits, Q: o.Q, V: o.V, Reward: o.Reward, Outcome: o.Outcome, SelfEval: o.SelfEval,
			Terminal: o.Terminal, Cut: o.Cut, Pass: o.Pass, ErrorType: o.ErrorType, ExampleID: o.ExampleID,
		}
	}
	return rows, nil
}

// candidateV1 is the record before the root had the reference.
type candidateV1 struct {
	Node      int32   `arrow:"node"`
	Parent    int32   `arrow:"parent"`
	Tokens    []int32 `arrow:"tokens"`
	Text      string  `arrow:"text"`
	LogProb   float64 `arrow:"log_prob"`
	Prior     float64 `arrow:"prior"`
	Visits    int32   `arrow:"visits"`
	Q         float64 `arrow:"q"`
	V         float64 `arrow:"v"`
	Reward    float64 `arrow:"reward"`
	Outcome   float64 `arrow:"outcome"`
	SelfEval  float64 `arrow:"self_eval"`
	Terminal  bool    `arrow:"terminal"`
	Cut       bool    `arrow:"cut"`
	Pass      bool    `arrow:"pass"`
	ErrorType string  `arrow:"error_type"`
	ExampleID string  `arrow:"example_id"`
}

func (candidateV1) Schema() string { return "candidate/v1" }
