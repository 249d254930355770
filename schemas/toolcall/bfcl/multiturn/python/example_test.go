package python_test

import (
	"fmt"

	"itool/schemas/toolcall/bfcl/multiturn/python"
)

// Values print as Python prints them, and compare as Python compares them.
func Example() {
	v := python.Record("name", "it's", "sizes", python.NewList(python.Int(3), 3.0))
	repr, _ := python.Repr(v)
	json, _ := python.JSON(v)
	fmt.Println(repr)
	fmt.Println(json)
	fmt.Println(python.Equal(python.Int(3), 3.0), python.Equal("3", python.Int(3)))
	// Output:
	// {'name': "it's", 'sizes': [3, 3.0]}
	// {"name": "it's", "sizes": [3, 3.0]}
	// true false
}
