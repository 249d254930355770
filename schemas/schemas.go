// Package schemas holds the words that the parts of itool say to each other:
// one struct per record, and the codec between its rows and a Batch, which is a
// header and an Arrow IPC stream.
//
//	b, err := schemas.Encode(schemas.Header{Run: "r1", Round: 0, Key: "s-17"}, []schemas.Score{{ExampleID: "s-17"}})
//	…                                     // b.Header.Map() and b.Body travel
//	rows, err := schemas.Decode[schemas.Score](b)
//
// Arrow encodes. Decoding is our own code, because a batch may come from
// anywhere: Arrow's reader turns a few corrupt bytes into an allocation that
// ends the process, and no recover can catch that. Decode reads every byte
// through checked accessors and promises: no input panics, hangs, or allocates
// more than 4 × its size + 1 MiB.
//
// It does not know how a batch travels or where it is kept.
package schemas

// Record is a row type: a struct whose exported fields all carry a tag
// `arrow:"column_name"` and are string, bool, int32, int64, uint64, float32,
// float64, []byte, []int32, []float32 or []string. No column may be null.
type Record interface {
	// Schema is the record's name and version, such as "pair/v1". A released
	// version is frozen: any change of columns is the next version.
	Schema() string
}
