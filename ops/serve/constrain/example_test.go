package constrain_test

import (
	"encoding/json"
	"fmt"

	"itool/ops/serve/constrain"
)

// A vocabulary of single bytes: token 256 ends an answer. The schema leaves no choice for the first token.
func Example() {
	bytesOf := func(id int32) []byte {
		if id < 256 {
			return []byte{byte(id)}
		}
		return nil
	}
	v, err := constrain.NewVocabulary(257, bytesOf, func(id int32) bool { return id == 256 }, []int32{256})
	if err != nil {
		fmt.Println(err)
		return
	}
	g, err := constrain.Compile(v, constrain.Spec{Schema: json.RawMessage(`{"enum": ["yes"]}`)})
	if err != nil {
		fmt.Println(err)
		return
	}
	m := g.Matcher()
	for _, b := range []byte(`"yes"`) {
		m.Accept(int32(b))
	}
	fmt.Println(m.Done())
	// Output: true
}
