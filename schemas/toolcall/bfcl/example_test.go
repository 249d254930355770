package bfcl_test

import (
	"fmt"

	"itool/schemas/toolcall"
	"itool/schemas/toolcall/bfcl"
)

const weather = `[{"name": "get_weather", "parameters": {"type": "dict", "required": ["city"],
	"properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}}]`

// A call is checked against BFCL's acceptable values. The "" lets the answer leave days out.
func ExampleCheck() {
	tools, err := toolcall.ParseTools([]byte(weather))
	if err != nil {
		panic(err)
	}
	want, err := bfcl.ParseExpected([]byte(`[{"get_weather": {"city": ["New York", "NYC"], "days": [3, ""]}}]`))
	if err != nil {
		panic(err)
	}
	for _, answer := range []string{
		"[get_weather(city='new york')]",
		"[get_weather(city='NYC', days=4)]",
		"[get_weather(city='NYC', hours=72)]",
	} {
		calls, err := toolcall.Read(answer)
		if err != nil {
			panic(err)
		}
		fmt.Println(bfcl.Check(calls, tools, want, bfcl.Simple))
	}
	// Output:
	// pass
	// value_error:others: get_weather: days: want one of [3, ''], got 4
	// simple_function_checker:unexpected_param: get_weather: hours: unknown to the tool, or not expected
}

// Without acceptable values, the calls of a reference answer are the expectation.
func ExampleReference() {
	tools, err := toolcall.ParseTools([]byte(weather))
	if err != nil {
		panic(err)
	}
	reference, err := toolcall.Read("[get_weather(city='New York', days=3)]")
	if err != nil {
		panic(err)
	}
	want, rule := bfcl.Reference(reference), bfcl.RuleFor(reference)
	for _, answer := range []string{
		`[get_weather(days=3, city="new york")]`,
		`[get_weather(city="Boston", days=3)]`,
		`[get_weather(city="Boston"`,
	} {
		calls, err := toolcall.Read(answer)
		if err != nil {
			fmt.Println(bfcl.Undecodable(err).Type)
			continue
		}
		m := bfcl.Check(calls, tools, want, rule)
		if m != nil {
			fmt.Println(m.Type, "-", m)
			continue
		}
		fmt.Println("pass", toolcall.Print(calls))
	}
	// Output:
	// pass [get_weather(days=3, city='new york')]
	// parameter value - value_error:string: get_weather: city: want one of ['New York'], got 'Boston'
	// code syntax
}
