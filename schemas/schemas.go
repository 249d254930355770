// Package schemas defines the records that the parts of itool exchange: one struct per
// record, and the codec between its rows and a Batch, which is a header and an Arrow IPC
// stream. The names of records, their keys and their statuses are constants; see names.go.
//
//	b, err := schemas.Encode(schemas.Header{Run: "r1", Round: 0, Key: "s-17"}, []schemas.Score{{ExampleID: "s-17"}})
//	…                                     // b.Header.Map() and b.Body travel
//	rows, err := schemas.Decode[schemas.Score](b)
//
// Arrow's library encodes. Decoding is our own code, because a batch may come from
// anywhere: a few corrupt bytes make Arrow's reader allocate so much that the process ends,
// and recover cannot catch that. Decode reads every byte through checked accessors. It does
// not panic or hang, and it allocates at most 4 × the size of its input + 1 MiB.
//
// The package does not know how a batch travels or where it is kept.
package schemas

// Record is a row type: a struct whose exported fields all carry a tag
// `arrow:"column_name"` and are string, bool, int32, int64, uint64, float32,
// float64, []byte, []int32, []float32 or []string. No value may be null.
type Record interface {
	// Schema is the record's name and version, such as "pair/v1". A released
	// version is frozen: any change of columns is the next version.
	Schema() string
}
