package format

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
)

// File is a dataset file that was looked at: what its rows are stored in, and their format.
// Nothing is taken from its name. It reads its rows as often as they are asked for.
type File struct {
	Container string // JSON lines, a JSON array, a JSON array under "data", Parquet
	Packing   string // gzip, zstd, or "" for none
	Format    Format // of the first row

	r    io.ReaderAt
	size int64
	open func() (source, error)
	head []byte // its beginning, or its first row if that is longer; until the format is known
}

// String says what was found: "toolace, JSON lines in zstd".
func (f *File) String() string {
	s := string(f.Format) + ", " + f.Container
	if f.Packing != "" {
		s += " in " + f.Packing
	}
	return s
}

// Raw is a row as its file has it.
type Raw struct {
	Number int    // in the file, from 0
	Line   int    // of the file where it begins, from 1; 0: the file has no lines
	Bytes  []byte // valid until the next row; nil when Err is set
	Err    error  // a *RowError: the row cannot be taken out of the file, as it is too long
}

// source gives the rows of a container.
type source interface {
	// next returns the next row, valid until the next call. A *RowError: that row cannot be
	// read. io.EOF: there are no more rows. All other errors end the file.
	next() ([]byte, error)
	// at returns the number of the row that next returned last, and its line.
	at() (row, line int)
	close()
}

// Open finds out what a file is by its bytes. r must give the same size bytes as long as
// File is used. Open returns ErrEmpty for a file without rows.
func Open(r io.ReaderAt, size int64) (*File, error) { return Options{}.Open(r, size) }

// Open does the same for a file of which the user said more.
func (o Options) Open(r io.ReaderAt, size int64) (*File, error) {
	f, err := openRows(r, size)
	if err != nil {
		return nil, err
	}
	return f, f.detect(o)
}

// openRows finds out all but the format.
func openRows(r io.ReaderAt, size int64) (*File, error) {
	if size == 0 {
		return nil, ErrEmpty
	}
	f := &File{r: r, size: size}
	magic := make([]byte, min(size, 8))
	if _, err := r.ReadAt(magic, 0); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	f.Packing = packing(magic)
	f.open = f.openText
	if isParquet(magic) {
		f.Container, f.open = "Parquet", f.openParquet
	} else if f.Packing == "" {
		if err := refuseBinary(magic); err != nil {
			return nil, err
		}
	}
	if err := f.look(); err != nil {
		return nil, err
	}
	return f, nil
}

// firstRows are tried for one that can be taken out of its container.
const firstRows = 100

// look reads the first row and sets Container.
func (f *File) look() error {
	src, err := f.open()
	if err != nil {
		return err
	}
	defer src.close()
	var head []byte
	text, isText := src.(*textSource)
	if isText {
		if head, err = text.head(); err != nil {
			return err
		}
	}
	row, err := src.next()
	first := err
	for n := 1; n < firstRows && len(head) == 0 && isRow(err); n++ {
		row, err = src.next()
	}
	switch {
	case errors.Is(err, io.EOF) && isRow(first):
		return fmt.Errorf("no row of it can be read: %w", first)
	case errors.Is(err, io.EOF):
		return ErrEmpty
	case err != nil && len(head) == 0:
		return err
	}
	if isText {
		f.Container = text.container()
	}
	if len(row) > len(head) {
		head = row
	}
	f.head = head
	return nil
}

// detect sets Format.
func (f *File) detect(o Options) (err error) {
	f.Format, err = o.Detect("", f.head)
	f.head = nil
	return err
}

// Rows yields the rows of the file as they are stored. The first error ends them.
func (f *File) Rows(ctx context.Context) iter.Seq2[Raw, error] {
	return func(yield func(Raw, error) bool) {
		src, err := f.open()
		if err != nil {
			yield(Raw{}, err)
			return
		}
		defer src.close()
		for {
			if err := ctx.Err(); err != nil {
				yield(Raw{}, err)
				return
			}
			bytes, err := src.next()
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil && !isRow(err) {
				yield(Raw{}, err)
				return
			}
			number, line := src.at()
			if !yield(Raw{Number: number, Line: line, Bytes: bytes, Err: err}, nil) {
				return
			}
		}
	}
}

// Parse reads a row of the given format.
func Parse(raw Raw, f Format) Row { return Options{}.Parse(raw, f) }

// Parse does the same for a file of which the user said more.
func (o Options) Parse(raw Raw, f Format) Row {
	return o.row(raw.Bytes, raw.Err, f, raw.Number, raw.Line)
}

// textSource cuts rows out of JSON that may be packed.
type textSource struct {
	*cutter
	unpacked io.Closer // nil: not packed
}

func (s *textSource) next() ([]byte, error) {
	row, err := s.cutter.next()
	var broken *BrokenError
	if errors.As(err, &broken) && broken.Line == 0 { // the unpacker does not know the place
		broken.Row, broken.Line = s.rows, s.line
	}
	return row, err
}

func (s *textSource) at() (row, line int) { return s.rows - 1, s.rowLine }

func (s *textSource) close() {
	if s.unpacked != nil {
		s.unpacked.Close()
	}
}

// head returns the beginning of the text, unread.
func (s *textSource) head() ([]byte, error) {
	head, err := s.r.Peek(headBytes)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if err := refuseForeign(head); err != nil {
		return nil, err
	}
	return bytes.Clone(head), nil
}

func (s *textSource) container() string {
	switch {
	case s.under != "":
		return fmt.Sprintf("a JSON array under %q", s.under)
	case s.array:
		return "a JSON array"
	}
	return "JSON lines"
}

func (f *File) openText() (source, error) {
	r, err := unpack(f.Packing, io.NewSectionReader(f.r, 0, f.size))
	if err != nil {
		return nil, err
	}
	s := &textSource{cutter: newCutter(r)}
	if c, ok := r.(io.Closer); ok {
		s.unpacked = c
	}
	return s, nil
}

// refuseForeign names what a file is that begins with these bytes and holds no rows.
func refuseForeign(head []byte) error {
	if p := packing(head); p != "" {
		return fmt.Errorf("it is packed twice, the second time with %s: unpack it once", p)
	}
	if isParquet(head) {
		return errors.New("it is a packed Parquet file: unpack it, its pages are packed already")
	}
	if err := refuseBinary(head); err != nil {
		return err
	}
	if len(head) > 262 && string(head[257:262]) == "ustar" {
		return errors.New("it is a tar archive: unpack it and name the files in it")
	}
	text := strings.ToLower(string(bytes.TrimSpace(head[:min(200, len(head))])))
	switch {
	case strings.HasPrefix(text, "version https://git-lfs"):
		return errors.New("it is a pointer of Git LFS, not the file itself: fetch it with git lfs pull")
	case strings.HasPrefix(text, "<!doctype html"), strings.HasPrefix(text, "<html"):
		return errors.New("it is a web page: download the file itself")
	}
	return nil
}
