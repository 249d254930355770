package bfcl_test

import (
	"fmt"

	"itool/schemas/toolcall"
	"itool/schemas/toolcall/bfcl"
)

func Example() {
	tools, err := toolcall.ParseTools([]byte(`[{"name": "Get Weather", "parameters": {"type": "dict",
		"properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city"]}}]`))
	if err != nil {
		panic(err)
	}
	reference, err := toolcall.Parse(`[Get Weather(city='New York', days=3)]`)
	if err != nil {
		panic(err)
	}
	want, rule := bfcl.Reference(reference), bfcl.RuleFor(reference)
	for _, answer := range []string{
		`[Get Weather(days=3, city="new york")]`,
		`[Get Weather(city="Boston", days=3)]`,
		`[Get Weather(city="Boston"`,
	} {
		calls, err := toolcall.Read(answer)
		if err != nil {
			fmt.Println(bfcl.Undecodable(err).Type)
			continue
		}
		if m := bfcl.Check(calls, tools, want, rule); m != nil {
			fmt.Println(m.Type, "-", m)
			continue
		}
		fmt.Println("pass", toolcall.Print(calls))
	}
	// Output:
	// pass [Get Weather(days=3, city='new york')]
	// parameter value - value_error:string: Get Weather: city: want one of ['New York'], got 'Boston'
	// code syntax
}
