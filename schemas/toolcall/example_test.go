package toolcall_test

import (
	"fmt"

	"itool/schemas/toolcall"
)

// An answer is read in the format of the model that wrote it and printed in another.
func Example() {
	answer := "I look it up.\n<tool_call>\n" +
		`{"name": "get_weather", "arguments": {"city": "Paris", "days": 3}}` + "\n</tool_call>"
	calls, err := toolcall.Hermes.Read(answer)
	if err != nil {
		panic(err)
	}
	fmt.Println(toolcall.Pythonic.Print(calls))
	fmt.Println(toolcall.LlamaJSON.Print(calls))

	_, err = toolcall.Read("[get_weather(city='Paris', days=]")
	fmt.Println(err)
	// Output:
	// [get_weather(city='Paris', days=3)]
	// {"name": "get_weather", "parameters": {"city": "Paris", "days": 3}}
	// toolcall: byte 32: want a value, got "]"
}
