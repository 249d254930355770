package schemas

// Policy announces the weights of a round. This write-once message is the commit: the
// trainer that writes it first decides the round. Round −1 is the base, round 0 the
// warmed-up policy, round r+1 the outcome of round r. The checkpoint opens as config.json,
// weights, tokenizer, template and adapter.
type Policy struct {
	Checkpoint string `arrow:"checkpoint"` // digest of the checkpoint manifest
	Parent     string `arrow:"parent"`     // the policy it was trained from; "" for the base
	Base       string `arrow:"base"`       // digest of the base model that its adapter belongs to
	Status     string `arrow:"status"`     // base | trained | no update | stopped: guard
	Detail     string `arrow:"detail"`     // a sentence for the report
	Steps      int32  `arrow:"steps"`      // optimiser steps taken
	Examples   int32  `arrow:"examples"`   // examples or pairs trained on
	Metrics    string `arrow:"metrics"`    // JSON object: name → number
	Curve      string `arrow:"curve"`      // JSON array of {step, loss, rate, …}
}

func (Policy) Schema() string { return "policy/v1" }
