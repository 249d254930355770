package schemas_test

import (
	"fmt"

	"itool/schemas"
)

func Example() {
	rows := []schemas.Score{{ExampleID: "s0-17", Perplexity: 1.5, Tokens: 40, HasCall: true}}
	batch, err := schemas.Encode(schemas.Header{Run: "demo", Round: 1, Key: "b000003"}, rows)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(batch.Header.Schema, batch.Header.Rows, batch.Header.Map()["itool-key"])

	back, err := schemas.Decode[schemas.Score](batch)
	fmt.Println(back[0].ExampleID, back[0].Perplexity, err)

	_, err = schemas.Decode[schemas.Pair](batch)
	fmt.Println(err)
	// Output:
	// score/v2 1 b000003
	// s0-17 1.5 <nil>
	// schemas: pair/v2: the batch holds score/v2 records
}
