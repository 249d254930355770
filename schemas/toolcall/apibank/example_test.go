package apibank_test

import (
	"fmt"
	"strings"

	"itool/schemas/toolcall/apibank"
	"itool/schemas/toolcall/bfcl/multiturn/python"
)

// An answer is judged by what its call returns.
func Example() {
	stocks, err := python.ParseJSON([]byte(`{"X": {"2023-01-02": 5.0}}`))
	if err != nil {
		panic(err)
	}
	truths, err := apibank.ReadDialogue(strings.NewReader(
		`{"role": "API", "api_name": "QueryStock", "param_dict": {"stock_code": "X", "date": "2023-01-02"}, ` +
			`"result": {"input": {"stock_code": "X", "date": "2023-01-02"}, "output": 5, "exception": null}}`))
	if err != nil {
		panic(err)
	}
	db := apibank.Databases{"Stock": stocks}
	for _, answer := range []string{
		"[QueryStock(stock_code='x', date='2023-1-2')]", "[QueryStock(stock_code='X', date='2 January')]",
	} {
		v := apibank.Judge(answer, truths[0], db)
		fmt.Printf("%s %q\n", v.Category, v.Why)
	}
	// Output:
	// CORRECT ""
	// HAS_EXCEPTION "time data '2 January' does not match format '%Y-%m-%d'"
}
