package schemas

// Verdict is the judgement of one greedy answer of one policy.
type Verdict struct {
	ExampleID string  `arrow:"example_id"` // the example answered
	Part      string  `arrow:"part"`       // test | validation
	Category  string  `arrow:"category"`   // the benchmark's category, or ""
	HasCall   bool    `arrow:"has_call"`   // the reference holds a call
	Answer    string  `arrow:"answer"`     // the greedy answer, as text
	Tokens    int32   `arrow:"tokens"`     // tokens of the answer, end-of-turn included
	Parsed    bool    `arrow:"parsed"`     // decodes as calls, or is well-formed prose where prose is wanted
	Pass      bool    `arrow:"pass"`       // the answer is right
	ErrorName string  `arrow:"error_name"` // the checker's own name, e.g. value_error:string
	ErrorType string  `arrow:"error_type"` // the paper's deficiency type
	Cut       bool    `arrow:"cut"`        // ran out of length
	LogProb   float64 `arrow:"log_prob"`   // mean log-probability per generated token, nats
}

func (Verdict) Schema() string { return "verdict/v1" }
