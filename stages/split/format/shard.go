package format

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"

	"github.com/klauspost/compress/zstd"
)

// A stored shard holds the rows of one split task, from a container of any kind, so that a
// worker reads its own rows and no others: the rows in the middle of a gzip file or of a large
// Parquet row group can be reached only through all before them. It is zstd over this text:
//
//	itool rows 1 <digest of the file> <first row> <rows>
//	<line> <bytes>
//	<the row's bytes>
//	…
//
// The bytes are those of the file, so that an error names the same line and byte as a look
// into the file does. A row that cannot be taken out of the file has -1 bytes and no line of bytes. What
// is wrong with it stands behind the -1 as ["problem", "field", "what"]; nothing: it is too long.
const shardHead = "itool rows 1 %s %d %d\n"

// shardWindow is what packing and unpacking a shard keep in memory.
const shardWindow = 1 << 20

// Shard collects the rows of one shard, packed in memory.
type Shard struct {
	First, Rows int
	Size        int // bytes of the rows, unpacked
	body        bytes.Buffer
	enc         *zstd.Encoder
}

// IsShard reports whether a stored object that begins with these four bytes was written by
// Shard. Before there were shards, an object was the published file itself: JSON text.
func IsShard(head []byte) bool { return packing(head) == "zstd" }

// NewShard makes an empty shard that begins with row first of its file.
func NewShard(first int) (*Shard, error) {
	s := &Shard{First: first}
	var err error
	s.enc, err = zstd.NewWriter(&s.body, zstd.WithEncoderConcurrency(1), zstd.WithWindowSize(shardWindow),
		zstd.WithLowerEncoderMem(true))
	return s, err
}

// Add appends a row.
func (s *Shard) Add(raw Raw) error {
	s.Rows++
	if raw.Err != nil {
		return s.addError(raw)
	}
	s.Size += len(raw.Bytes)
	if _, err := fmt.Fprintf(s.enc, "%d %d\n", raw.Line, len(raw.Bytes)); err != nil {
		return err
	}
	if _, err := s.enc.Write(raw.Bytes); err != nil {
		return err
	}
	_, err := s.enc.Write([]byte{'\n'})
	return err
}

func (s *Shard) addError(raw Raw) error {
	var row *RowError
	if !errors.As(raw.Err, &row) || raw.Err.Error() == tooLong().Error() {
		_, err := fmt.Fprintf(s.enc, "%d -1\n", raw.Line)
		return err
	}
	reason, err := json.Marshal([]string{string(row.Problem), row.Field, row.What})
	if err == nil {
		_, err = fmt.Fprintf(s.enc, "%d -1 %s\n", raw.Line, reason)
	}
	return err
}

// End writes the shard, as one of the file with this digest. Then the shard is empty, and
// begins where it ended.
func (s *Shard) End(w io.Writer, digest string) error {
	if err := s.enc.Close(); err != nil {
		return err
	}
	rows := s.body.Bytes()
	// The head is a zstd frame of its own: the number of rows is known only now.
	var head bytes.Buffer
	s.enc.Reset(&head)
	if _, err := fmt.Fprintf(s.enc, shardHead, digest, s.First, s.Rows); err != nil {
		return err
	}
	if err := s.enc.Close(); err != nil {
		return err
	}
	for _, part := range [][]byte{head.Bytes(), rows} {
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	s.First, s.Rows, s.Size = s.First+s.Rows, 0, 0
	s.body.Reset()
	s.enc.Reset(&s.body)
	return nil
}

// ReadShard yields the rows of a shard that was stored by Shard: rows rows from number first
// on, of the file with this digest. Anything else ends them with a *BrokenError.
func ReadShard(ctx context.Context, r io.Reader, f Format, digest string, first, rows int) iter.Seq2[Row, error] {
	return Options{}.ReadShard(ctx, r, f, digest, first, rows)
}

// ReadShard does the same for a file of which the user said more.
func (o Options) ReadShard(
	ctx context.Context, r io.Reader, f Format, digest string, first, rows int,
) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		unpacked, err := unpack("zstd", r)
		if err != nil {
			yield(Row{}, shardError(first, err))
			return
		}
		defer unpacked.(io.Closer).Close()
		text := bufio.NewReaderSize(unpacked, headBytes)
		if err := checkHead(text, digest, first, rows); err != nil {
			yield(Row{}, err)
			return
		}
		var buf []byte
		for i := range rows {
			if err := ctx.Err(); err != nil {
				yield(Row{}, err)
				return
			}
			raw := Raw{Number: first + i}
			if buf, err = raw.read(text, buf); err != nil {
				yield(Row{}, shardError(first+i, err))
				return
			}
			if !yield(o.Parse(raw, f), nil) {
				return
			}
		}
		switch _, err := text.ReadByte(); {
		case err == nil:
			yield(Row{}, shardError(first+rows, notShard("more rows than were published")))
		case !errors.Is(err, io.EOF):
			yield(Row{}, shardError(first+rows, err))
		}
	}
}

func checkHead(text *bufio.Reader, digest string, first, rows int) error {
	line, err := text.ReadSlice('\n')
	if err != nil {
		return shardError(first, err)
	}
	if want := fmt.Sprintf(shardHead, digest, first, rows); string(line) != want {
		return shardError(first, notShard("it begins with %.120q, not with %q", line, want))
	}
	return nil
}

// read reads one row into buf, which it returns.
func (raw *Raw) read(text *bufio.Reader, buf []byte) ([]byte, error) {
	line, err := text.ReadSlice('\n')
	if err != nil {
		return buf, err
	}
	var n int
	head, reason, told := strings.Cut(strings.TrimSuffix(string(line), "\n"), " [")
	if _, err := fmt.Sscanf(head+"\n", "%d %d\n", &raw.Line, &n); err != nil || n < -1 || n > maxRow || told && n >= 0 {
		return buf, notShard("%.60q stands where a row's line and length are wanted", line)
	}
	if n < 0 {
		raw.Err = tooLong()
		if told {
			raw.Err, err = storedError("[" + reason)
		}
		return buf, err
	}
	if cap(buf) < n+1 {
		buf = make([]byte, n+1, 2*n+1)
	}
	buf = buf[:n+1]
	if _, err := io.ReadFull(text, buf); err != nil {
		return buf, err
	}
	if buf[n] != '\n' {
		return buf, notShard("a row is longer than its length says")
	}
	raw.Bytes = buf[:n]
	return buf, nil
}

// storedError reads what addError wrote.
func storedError(reason string) (row, broken error) {
	var said []string
	if err := json.Unmarshal([]byte(reason), &said); err != nil || len(said) != 3 {
		return nil, notShard("%.60q: want what is wrong with a row", reason)
	}
	return fail(Problem(said[0]), said[1], "%s", said[2]), nil
}

func notShard(format string, args ...any) error {
	return &BrokenError{What: fmt.Sprintf(format, args...)}
}

// shardError places an error of the stored bytes. An error of the store stays as it is.
func shardError(row int, err error) error {
	var broken *BrokenError
	var what string
	switch {
	case errors.As(err, &broken):
		what = broken.What
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		what = "it ends too early"
	case errors.Is(err, bufio.ErrBufferFull):
		what = "a line without an end"
	default:
		return err
	}
	return &BrokenError{Row: row, What: "the stored shard: " + what + ": publish the file again"}
}
