package split

import (
	"crypto/sha256"

	"itool/schemas"
	"itool/schemas/toolcall"
	"itool/stages/split/format"
)

// Reader makes the examples of one file as the stage does, but without tokens: for programs that have
// no policy, or that render for several. So no example is dropped for its length.
type Reader struct{ t turns }

// NewReader reads rows of the file of the given name. Their answers are written in the given format.
func NewReader(name string, cfg Config, calls toolcall.Format) *Reader {
	return &Reader{turns{
		cfg: cfg, calls: calls, shard: schemas.Shard{Key: "row", Name: name}, seen: map[[sha256.Size]byte]bool{},
	}}
}

// Examples returns the examples of a row, at least one: a row that cannot be used is one that is dropped,
// with its reason.
func (r *Reader) Examples(row format.Row) []schemas.Example {
	from := len(r.t.out)
	r.t.add(row)
	return r.t.out[from:]
}
