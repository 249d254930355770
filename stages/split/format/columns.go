package format

import (
	"errors"
	"io"
	"strings"

	"itool/stages/split/format/parquet"
)

func isParquet(head []byte) bool { return strings.HasPrefix(string(head), "PAR1") }

// parquetSource gives the rows of a Parquet file as JSON.
type parquetSource struct {
	rows *parquet.Rows
	n    int // read so far
}

func (f *File) openParquet() (source, error) {
	file, err := parquet.Open(f.r, f.size)
	if err != nil {
		return nil, &BrokenError{What: err.Error()}
	}
	return &parquetSource{rows: file.Rows(maxRow, silentRow...)}, nil
}

func (s *parquetSource) next() ([]byte, error) {
	row, err := s.rows.Next()
	if errors.Is(err, io.EOF) {
		return nil, err
	}
	s.n++
	var value *parquet.ValueError
	switch {
	case errors.As(err, &value):
		return nil, fail(BadRow, value.Column, "%s", value.What)
	case errors.Is(err, parquet.ErrTooLong):
		return nil, tooLong()
	case err != nil:
		return nil, &BrokenError{Row: s.n - 1, What: err.Error()}
	}
	return row, nil
}

func (s *parquetSource) at() (row, line int) { return s.n - 1, 0 }

func (s *parquetSource) close() {}
