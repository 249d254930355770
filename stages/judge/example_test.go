package judge_test

import (
	"fmt"

	"itool/schemas"
	"itool/stages/judge"
)

// Calls are compared with the reference by value, not by text.
func ExampleExaminer() {
	x, err := judge.NewExaminer(&schemas.Example{
		ID:    "e1",
		Tools: `[{"name":"f","parameters":{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]}}]`,
		Calls: 1, Reference: "[f(a=1)]",
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, answer := range []string{"[f( a = 1 )]", "[f(a=2)]", "I cannot do that."} {
		r := x.Outcome(answer, false)
		fmt.Printf("%q: pass %t %q\n", answer, r.Pass, r.ErrorType)
	}
	// Output:
	// "[f( a = 1 )]": pass true ""
	// "[f(a=2)]": pass false "parameter value"
	// "I cannot do that.": pass false "code syntax"
}

// A self-evaluation is worth something if it ranks right answers above wrong ones.
func ExampleAUC() {
	scores := []float64{0.9, 0.2, 0.6, 0.4}
	pass := []bool{true, false, false, true}
	fmt.Println(judge.AUC(scores, pass))
	// Output: 0.75
}
