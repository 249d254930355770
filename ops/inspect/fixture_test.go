package inspect_test

import (
	"fmt"
	"math"
	"testing"

	"itool/ops/courier"
	"itool/ops/courier/couriertest"
	"itool/ops/inspect"
	"itool/schemas"
)

const run = "r1"

// hostile is text that an answer of a model may contain.
const hostile = "<b>\x1b[2J\"'&\u202e"

const tools = `[{"name":"weather","parameters":{"type":"object","properties":{"city":{"type":"string"},
	"days":{"type":"integer"}},"required":["city"]}},{"name":"book","parameters":{"type":"object","properties":{}}}]`

// fixture is an open run; write adds records as the keeper and the stages do.
type fixture struct {
	*testing.T
	c *courier.Courier
}

func newFixture(t *testing.T) fixture {
	t.Helper()
	c := couriertest.Open(t)
	if err := c.Broker.CreateRun(t.Context(), run, 1<<30); err != nil {
		t.Fatal(err)
	}
	b := fixture{t, c}
	write(b, "run", 0, "run", "", schemas.Run{Name: run, Config: "{}", Dataset: "[]"})
	return b
}

func write[R schemas.Record](b fixture, record string, round int, key, policy string, rows ...R) {
	b.Helper()
	h := schemas.Header{Run: run, Round: round, Key: key, Worker: "w1", Policy: policy}
	batch, err := schemas.Encode(h, rows)
	if err != nil {
		b.Fatal(err)
	}
	if _, err := b.c.Publish(b.Context(), record, batch, nil); err != nil {
		b.Fatal(err)
	}
}

func (b fixture) open() *inspect.Run {
	b.Helper()
	r, err := inspect.Open(b.Context(), b.c, run)
	if err != nil {
		b.Fatal(err)
	}
	return r
}

// The examples: s0-00000 and s0-00001 are trained on, s1-00000 … are held out.
func example(id, part, question, reference string, calls int32) schemas.Example {
	return schemas.Example{
		ID: id, Source: "a.jsonl", Row: int32(len(question)), Part: part, Replay: part == "train", Tools: tools,
		Messages:  fmt.Sprintf(`[{"role":"system","content":"s"},{"role":"user","content":%q}]`, question),
		Reference: reference, Calls: calls,
	}
}

func verdict(id, answer, errorType string, hasCall bool) schemas.Verdict {
	return schemas.Verdict{
		ExampleID: id, Part: "test", HasCall: hasCall, Parsed: true, Pass: errorType == "", Answer: answer,
		ErrorType: errorType, Tokens: 4, LogProb: math.Log(0.9) / 4,
	}
}

// Answers of the held-out examples.
const (
	rome  = "[weather(city='Rome')]"
	paris = "[weather(city='Paris')]"
	words = "I cannot."
)

// fill writes a run whose warm-up and round 1 answered four held-out examples, with two trees between them. Round 2
// has the weights of round 1.
func fill(b fixture) {
	write(b, "example", 0, "s0", "",
		example("s0-00000", "train", "rome?", rome, 1), example("s0-00001", "train", "paris?", paris, 1))
	write(b, "example", 0, "s1", "",
		example("s1-00000", "test", "won", rome, 1), example("s1-00001", "test", "lost", rome, 1),
		example("s1-00002", "test", "stayed", rome, 1), example("s1-00003", "validation", hostile, words, 0))
	write(b, "policy", -1, "policy", "", schemas.Policy{Checkpoint: "p-base", Status: "base"})
	write(b, "policy", 0, "policy", "", schemas.Policy{
		Checkpoint: "p-0", Parent: "p-base", Status: "trained", Steps: 9, Examples: 2,
	})
	write(b, "policy", 1, "policy", "", schemas.Policy{
		Checkpoint: "p-1", Parent: "p-0", Status: "trained", Steps: 3, Examples: 1, Detail: "simpo on 1 pairs",
	})
	write(b, "policy", 2, "policy", "", schemas.Policy{
		Checkpoint: "p-1", Parent: "p-1", Status: "no update", Detail: "too few pairs",
	})
	write(b, "verdict", 0, "c0", "p-0",
		verdict("s1-00000", paris, "parameter value", true), verdict("s1-00001", rome, "", true),
		verdict("s1-00002", paris, "parameter value", true), verdict("s1-00003", words, "", false))
	write(b, "verdict", 1, "c0", "p-1",
		verdict("s1-00000", rome, "", true), verdict("s1-00001", "no", "tools count", true),
		verdict("s1-00002", paris, "parameter value", true), verdict("s1-00003", "[book()]", "tools count", false))
	write(b, "selection", 0, "selection", "p-0",
		schemas.Selection{ExampleID: "s0-00000", Perplexity: 2, Selected: true},
		schemas.Selection{ExampleID: "s0-00001", Perplexity: 1.5, Rank: 1, Selected: true})
	for _, key := range []string{"s0-00000", "s0-00001"} {
		write(b, "candidate", 0, key, "p-0", tree(key)...)
		write(b, "pair", 0, key, "p-0", pairs(key)...)
	}
	write(b, "candidate", 1, "s0-00000", "p-1", tree("s0-00000")...) // the filter has not been there yet
}

// tree branches twice: at the root, and behind "[weather(city=".
func tree(id string) []schemas.Candidate {
	ids := func(n int) []int32 { return make([]int32, n) }
	nodes := []schemas.Candidate{
		{Parent: -1, Visits: 5, V: 0.2, Tokens: ids(7)},
		{Parent: 0, Text: "[weather(city=", Visits: 4, Q: 0.5, Prior: 0.8, Tokens: ids(3), LogProb: math.Log(0.8) / 3},
		{Parent: 0, Text: hostile, Visits: 1, Q: -1, Prior: 0.2, Tokens: ids(1), LogProb: math.Log(0.2), Terminal: true,
			ErrorType: "tools count"},
		{Parent: 1, Text: "'Rome')]", Visits: 2, Q: 1, Prior: 0.25, Tokens: ids(2), LogProb: math.Log(0.25) / 2,
			Terminal: true, Pass: true},
		{Parent: 1, Text: "'Paris')]", Visits: 1, Q: -1, Prior: 0.75, Tokens: ids(2), LogProb: math.Log(0.75) / 2,
			Terminal: true, ErrorType: "parameter value"},
	}
	for i := range nodes {
		nodes[i].Node, nodes[i].ExampleID = int32(i), id
	}
	return nodes
}

// pairs are those of both trees: the second is the same in both, so only the first tree's is trained on.
func pairs(id string) []schemas.Pair {
	return []schemas.Pair{
		{
			ExampleID: id, Node: 0, ChosenText: "[weather(city=", RejectedText: hostile, ChosenQ: 0.5, RejectedQ: -1,
			Reason: "rejected_viable",
		},
		{
			ExampleID: id, Node: 1, PromptIDs: []int32{1, 2}, ChosenIDs: []int32{3}, RejectedIDs: []int32{4},
			ChosenText: "'Rome')]", RejectedText: "'Paris')]", ChosenQ: 1, RejectedQ: -1, Kind: "value", Proven: true,
		},
	}
}
