package format_test

import (
	"context"
	"fmt"
	"strings"

	"itool/schemas/toolcall"
	"itool/stages/split/format"
)

// A file of the OpenAI format with one good row and one bad row.
func Example() {
	const file = `{"messages": [{"role": "user", "content": "Rain in Bern?"}, {"role": "assistant", "tool_calls": ` +
		`[{"function": {"name": "weather", "arguments": {"city": "Bern"}}}]}], "tools": [{"name": "weather"}]}
{"messages": 7}
`
	kind, err := format.Detect("file.jsonl", []byte(file))
	if err != nil {
		fmt.Println(err)
		return
	}
	rows, err := format.Count(strings.NewReader(file), kind)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(rows, "rows of", kind)
	for row, err := range format.Read(context.Background(), strings.NewReader(file), kind, 0, rows) {
		switch {
		case err != nil: // the file is broken
			fmt.Println(err)
		case row.Err != nil:
			fmt.Println(row.Err.Problem, row.Err)
		default:
			fmt.Println(row.Messages[1].Role+":", toolcall.Print(row.Messages[1].Calls))
		}
	}
	// Output:
	// 2 rows of openai
	// assistant: [weather(city='Bern')]
	// bad_row row 1 (line 2): messages: want a list, got a number
}
