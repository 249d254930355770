// Package parquet reads the rows of Parquet files as JSON objects, whose keys stand in the
// order of the file's columns.
//
//	f, err := parquet.Open(r, size)
//	rows := f.Rows(1 << 20)
//	row, err := rows.Next() // io.EOF: there are no more
//
// Groups become objects, lists arrays, maps objects, absent values null; times and dates are
// the numbers that are stored. Read are the encodings and packings that writers use today:
// plain, dictionary, run-length and delta; snappy, gzip, zstd and none. The rest is refused by
// name.
//
// Files come from outside: nothing is allocated because a header says so. A footer has at most
// 8 MiB, a page 64 MiB, all pages that are held at once 256 MiB. The format is described in
// the repository apache/parquet-format, the nesting in "Dremel: Interactive Analysis of
// Web-Scale Datasets" (2010).
package parquet

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
)

const (
	magic     = "PAR1"
	maxFooter = 8 << 20 // bytes
)

// File is an open file. One goroutine may use it.
type File struct {
	r       io.ReaderAt
	root    *node
	leaves  []*node
	groups  []group
	rows    int64
	held    int // bytes of pages and dictionaries
	scratch []byte
}

// group is a row group.
type group struct {
	rows   int64
	chunks []chunk // one per leaf
}

// Open reads the footer of a file of size bytes.
func Open(r io.ReaderAt, size int64) (*File, error) {
	if size < 12 {
		return nil, errors.New("the Parquet file is cut off; fetch it again")
	}
	tail := make([]byte, 8)
	if _, err := r.ReadAt(tail, size-8); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	switch string(tail[4:]) {
	case magic:
	case "PARE":
		return nil, errors.New("the Parquet file is encrypted: decrypt it first")
	default:
		return nil, errors.New("the Parquet file has no footer: it is cut off; fetch it again")
	}
	n := int64(binary.LittleEndian.Uint32(tail))
	if n > maxFooter || n > size-12 {
		return nil, fmt.Errorf("the Parquet file's footer claims %d bytes: it is damaged, or larger than %d MiB",
			n, maxFooter>>20)
	}
	b := make([]byte, n)
	if _, err := r.ReadAt(b, size-8-n); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	footer, _, err := readStruct(b)
	if err != nil {
		return nil, errors.New("the Parquet file's footer is damaged; fetch it again")
	}
	f := &File{r: r}
	if err := f.read(footer, size-8-n); err != nil {
		return nil, fmt.Errorf("the Parquet file: %w", err)
	}
	return f, nil
}

// read takes over what the footer says. Pages stand before byte end.
func (f *File) read(footer *field, end int64) (err error) {
	if footer.get(8) != nil {
		return errors.New("its columns are encrypted: decrypt it first")
	}
	list := footer.get(2)
	if list == nil {
		return errThrift
	}
	if f.root, f.leaves, err = readSchema(list.list); err != nil {
		return err
	}
	if groups := footer.get(4); groups != nil {
		for i := range groups.list {
			g, err := f.group(&groups.list[i], end)
			if err != nil {
				return fmt.Errorf("row group %d: %w", i, err)
			}
			f.groups = append(f.groups, g)
			f.rows += g.rows
		}
	}
	if n := footer.int(3, -1); n != f.rows || f.rows < 0 {
		return fmt.Errorf("it claims %d rows, its row groups %d: it is damaged", n, f.rows)
	}
	return nil
}

func (f *File) group(g *field, end int64) (out group, err error) {
	out.rows = g.int(3, -1)
	columns := g.get(1)
	if columns == nil || len(columns.list) != len(f.leaves) || out.rows < 0 || out.rows > 1<<40 {
		return out, errThrift
	}
	for i := range columns.list {
		c := &columns.list[i]
		meta := c.get(3)
		if meta == nil || c.get(8) != nil {
			return out, fmt.Errorf("column %q has no readable description", f.leaves[i].name)
		}
		if len(bytesOf(c.get(1))) > 0 {
			return out, fmt.Errorf("column %q stands in another file: join them", f.leaves[i].name)
		}
		k := chunk{at: meta.int(9, -1), codec: int(meta.int(4, -1)), values: meta.int(5, -1)}
		if dict := meta.int(11, 0); dict > 0 && dict < k.at {
			k.at = dict
		}
		size := meta.int(7, -1)
		if k.end = k.at + size; k.at < 4 || size < 0 || k.end < k.at || k.end > end || k.values < out.rows ||
			k.values > 1<<40 || int(meta.int(1, -1)) != f.leaves[i].typ {
			return out, fmt.Errorf("column %q does not lie within the file: it is damaged", f.leaves[i].name)
		}
		out.chunks = append(out.chunks, k)
	}
	return out, nil
}

// Len is the number of rows that the footer claims.
func (f *File) Len() int64 { return f.rows }

// ErrTooLong is a row that is longer than Rows was asked for. The row behind it can be read.
var ErrTooLong = errors.New("the row is too long")

// Rows reads the rows from the first on. A row has at most most bytes. Of the columns in silent,
// with all that they hold, a value that cannot be written as JSON is null and no error.
func (f *File) Rows(most int, silent ...string) *Rows {
	for _, column := range f.root.children {
		column.silent = slices.Contains(silent, column.name)
	}
	r := &Rows{f: f, most: most}
	for _, leaf := range f.leaves {
		r.columns = append(r.columns, &column{f: f, leaf: leaf})
	}
	f.held = 0
	return r
}

// Rows are the rows of a file in their order.
type Rows struct {
	f       *File
	most    int
	columns []*column
	group   int
	left    int64 // rows of the group
	row     []byte
}

// Next returns the next row, valid until the next call. io.EOF: there are no more.
// *ValueError and ErrTooLong: this row cannot be had, the next one can. All other errors end
// the rows.
func (r *Rows) Next() ([]byte, error) {
	for r.left == 0 {
		if r.group == len(r.f.groups) {
			return nil, io.EOF
		}
		g := r.f.groups[r.group]
		for i, c := range r.columns {
			c.start(g.chunks[i])
		}
		r.left = g.rows
		r.group++
	}
	r.left--
	w := writer{out: r.row[:0], most: r.most}
	long := false
	windows := make([][]entry, len(r.columns))
	for i, c := range r.columns {
		n, err := c.read(r.most)
		if err == nil && n == 0 {
			err = errPage
		}
		if err != nil {
			if errors.Is(err, io.EOF) {
				err = io.ErrUnexpectedEOF
			}
			return nil, fmt.Errorf("the Parquet file: row group %d: column %q: %w", r.group-1, c.leaf.name, err)
		}
		long = long || n > r.most
		windows[i] = c.record
	}
	if long {
		return nil, ErrTooLong
	}
	err := w.object(r.f.root, windows)
	r.row = w.out
	return w.out, err
}
