package schemas

// Gather closes a round's waiting: the frozen list of keys with what became of
// each. Whole-round stages wake on it and read the results in this order.
type Gather struct {
	Key    string `arrow:"key"`
	Failed bool   `arrow:"failed"` // no result: a failure marker stands in its place
}

func (Gather) Schema() string { return "gather/v1" }
