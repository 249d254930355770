// Package format reads third-party datasets: conversations with tools in the formats of
// ToolACE, BFCL and OpenAI. Open finds out what a file is by its bytes: Parquet, JSON lines,
// a JSON array or an array under a key, plain or packed with gzip or zstd. Rows takes it apart
// into rows, Parse reads a row. Shard and ReadShard keep some rows of a file as an object.
//
//	f, err := format.OpenFile("rows.jsonl.gz")
//	for raw, err := range f.Rows(ctx) {
//		row := format.Parse(raw, f.Format)
//
// Detect, Count and Read do the same for JSON that is not packed.
//
// A row that cannot be read is a Row with an Err: it is counted, and the file goes on.
// Only what breaks the file as a whole (*BrokenError, a failing reader) ends the
// iteration. Rows are bounded in size and depth.
//
// It knows no tokens and does not choose rows; that is what split does.
package format

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"slices"
	"strings"
)

// Format is how the rows of a file are written.
type Format string

const (
	ToolACE Format = "toolace" // {"system": "… [tools] …", "conversations": [{"from", "value"}]}
	BFCL    Format = "bfcl"    // {"id", "question", "function", "ground_truth"}; see JoinBFCL
	OpenAI  Format = "openai"  // {"messages": [{"role", "content", "tool_calls"}], "tools": […]}
)

// Formats are all formats.
var Formats = []Format{ToolACE, BFCL, OpenAI}

// Message is one turn. The role is system, user, assistant or tool. Calls of the assistant
// are written as toolcall.Print does, unless the dataset has them as text.
type Message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// Row is one conversation.
type Row struct {
	Number     int             // in the file, from 0
	Line       int             // of the file where it begins, from 1; 0: the file has no lines
	Messages   []Message       // at least one; empty when Err is set
	Tools      json.RawMessage // JSON array of tool schemas; nil: none
	Acceptable json.RawMessage // BFCL's possible answers to the last turn; nil: only the text itself
	Category   string          // the benchmark's category, or ""
	Err        *RowError       // why the row cannot be used; nil for a good one
}

// Problem says what is wrong with a row, for counting.
type Problem string

const (
	BadRow   Problem = "bad_row"   // not the JSON that the format asks for
	BadTools Problem = "bad_tools" // the tools are not a JSON array of objects
	NoAnswer Problem = "no_answer" // nothing to learn
)

// RowError is what is wrong with one row, and where.
type RowError struct {
	Row, Line int // Line is 0 where the file has no lines
	Problem   Problem
	Field     string // such as conversations[3].from; "" for the row as a whole
	What      string
}

func (e *RowError) Error() string {
	field := ""
	if e.Field != "" {
		field = e.Field + ": "
	}
	return fmt.Sprintf("%s: %s%s", place(e.Row, e.Line), field, e.What)
}

// place names a row; a container without lines, such as Parquet, has none.
func place(row, line int) string {
	if line == 0 {
		return fmt.Sprintf("row %d", row)
	}
	return fmt.Sprintf("row %d (line %d)", row, line)
}

// BrokenError says why a file cannot be read to its end, and what to do.
type BrokenError struct {
	Row, Line int
	What      string
}

func (e *BrokenError) Error() string {
	if e.Row == 0 && e.Line == 0 {
		return e.What // before the first row
	}
	return place(e.Row, e.Line) + ": " + e.What
}

// ErrEmpty is a file without a single row.
var ErrEmpty = errors.New("the file is empty: it needs at least one row")

// Detect tells the format from a file's first bytes, 64 KiB or the whole file.
func Detect(name string, head []byte) (Format, error) {
	if err := refuseBinary(head); err != nil {
		return "", err
	}
	head, array := unwrap(head)
	if len(head) == 0 {
		return "", ErrEmpty
	}
	if head[0] != '{' {
		if array {
			return "", fmt.Errorf("the first row begins with %q: rows are JSON objects", head[0])
		}
		return "", fmt.Errorf("it begins with %q: datasets are JSON (an array of objects) or JSON lines "+
			"(one object per line)", head[0])
	}
	return detectRow(head)
}

// detectRow tells the format from the beginning of a row, a JSON object.
func detectRow(head []byte) (Format, error) {
	keys := topKeys(head)
	has := func(key string) bool { return slices.Contains(keys, key) }
	switch {
	case has("messages"):
		return OpenAI, nil
	case has("question"):
		return BFCL, nil
	case has("system"):
		return ToolACE, nil
	case has("ground_truth"):
		return "", errors.New("these are BFCL's answers alone: join them with their questions and publish the result")
	case has("conversations"):
		return "", errors.New("conversations without a system text that lists the tools: " +
			`write the rows as {"messages": […], "tools": […]}`)
	}
	return "", fmt.Errorf("unknown rows with the fields %s; known are ToolACE (system, conversations), "+
		"BFCL (question, function, ground_truth) and OpenAI (messages, tools)", strings.Join(keys, ", "))
}

func refuseBinary(head []byte) error {
	for _, b := range []struct{ magic, what string }{
		{"PAR1", "a Parquet file: convert it to JSON lines"},
		{"\x1f\x8b", "a gzip file: unpack it first"},
		{"PK\x03\x04", "a zip file: unpack it first"},
		{"\x28\xb5\x2f\xfd", "a zstd file: unpack it first"},
		{"\xff\xfe", "UTF-16 text: save it as UTF-8"},
		{"\xfe\xff", "UTF-16 text: save it as UTF-8"},
	} {
		if strings.HasPrefix(string(head[:min(8, len(head))]), b.magic) {
			return errors.New("it is " + b.what)
		}
	}
	return nil
}

// topKeys collects the names of the first object's fields that are complete in head.
func topKeys(head []byte) []string {
	d := json.NewDecoder(strings.NewReader(string(head)))
	var keys []string
	if _, err := d.Token(); err != nil {
		return nil
	}
	for d.More() && len(keys) < 32 {
		key, err := d.Token()
		name, ok := key.(string)
		if err != nil || !ok {
			break
		}
		keys = append(keys, shorten(name, 40))
		var value json.RawMessage
		if d.Decode(&value) != nil {
			break // head ends here
		}
	}
	return keys
}

// Count counts the rows of a file, the unusable ones included. It returns ErrEmpty if the
// file has none, and a *BrokenError if it is cut off.
func Count(r io.Reader, f Format) (int, error) {
	if !slices.Contains(Formats, f) {
		return 0, fmt.Errorf("unknown format %q", f)
	}
	c := newCutter(r)
	for {
		_, err := c.next()
		switch {
		case errors.Is(err, io.EOF):
			if c.rows == 0 {
				return 0, ErrEmpty
			}
			return c.rows, nil
		case isRow(err), err == nil:
		default:
			return c.rows, err
		}
	}
}

func isRow(err error) bool {
	var r *RowError
	return errors.As(err, &r)
}

// Read yields rows rows of a file, from number first on. A file with fewer is broken.
func Read(ctx context.Context, r io.Reader, f Format, first, rows int) iter.Seq2[Row, error] {
	return func(yield func(Row, error) bool) {
		if !slices.Contains(Formats, f) {
			yield(Row{}, &BrokenError{What: fmt.Sprintf("unknown format %q", shorten(string(f), 40))})
			return
		}
		c := newCutter(r)
		for c.rows < first+rows {
			if err := ctx.Err(); err != nil {
				yield(Row{}, err)
				return
			}
			raw, err := c.next()
			if errors.Is(err, io.EOF) {
				err = &BrokenError{c.rows, c.line, fmt.Sprintf("the file ends after %d rows, %d were expected: "+
					"publish it again", c.rows, first+rows)}
			}
			if err != nil && !isRow(err) {
				yield(Row{}, err)
				return
			}
			if c.rows <= first {
				continue
			}
			if !yield(read(raw, err, f, c.rows-1, c.rowLine), nil) {
				return
			}
		}
	}
}

// read turns the bytes of one row into a Row. A row error without a place gets it here.
func read(raw []byte, err error, f Format, number, line int) Row {
	row := Row{}
	if err == nil {
		err = checkShape(raw)
	}
	if err == nil {
		switch f {
		case ToolACE:
			row, err = readToolACE(raw)
		case BFCL:
			row, err = readBFCL(raw)
		case OpenAI:
			row, err = readOpenAI(raw)
		}
	}
	if err == nil && len(row.Messages) == 0 {
		err = fail(BadRow, "", "a conversation without a turn")
	}
	if errors.As(err, &row.Err) {
		row = Row{Category: row.Category, Err: row.Err}
		row.Err.Row, row.Err.Line = number, line
	}
	row.Number, row.Line = number, line
	return row
}

// fail makes a row error; its place in the file is filled in by read.
func fail(p Problem, field, format string, args ...any) error {
	what := strings.ToValidUTF8(shorten(fmt.Sprintf(format, args...), 300), "�")
	return &RowError{Problem: p, Field: field, What: what}
}

func shorten(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "") + "…"
}
