package parquet_test

import (
	"bytes"
	"fmt"

	oracle "github.com/parquet-go/parquet-go"

	"itool/stages/split/format/parquet"
)

// The rows of a file as JSON objects of at most a mebibyte.
func Example() {
	var file bytes.Buffer
	type row struct {
		Query string `parquet:"query"`
	}
	if err := oracle.Write(&file, []row{{"Is it raining in Bern?"}}); err != nil {
		fmt.Println(err)
		return
	}
	f, err := parquet.Open(bytes.NewReader(file.Bytes()), int64(file.Len()))
	if err != nil {
		fmt.Println(err)
		return
	}
	object, err := f.Rows(1 << 20).Next()
	fmt.Println(string(object), err)
	// Output: {"query": "Is it raining in Bern?"} <nil>
}
