package schemas

// Gather closes a round: the final list of its keys and what became of each. Stages that
// need the whole round wake on it and read the results in this order.
type Gather struct {
	Key    string `arrow:"key"`    // item key
	Failed bool   `arrow:"failed"` // no result: a failed record takes its place
}

func (Gather) Schema() string { return "gather/v1" }
