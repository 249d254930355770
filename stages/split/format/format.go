// Package format reads third-party datasets: conversations with tools. Open finds out what a
// file is by its bytes: Parquet, JSON lines, a JSON array or an array under a key, plain or
// packed with gzip or zstd. Rows takes it apart into rows, Parse reads a row. Shard and
// ReadShard keep some rows of a file as an object.
//
//	f, err := format.OpenFile("rows.jsonl.gz")
//	for raw, err := range f.Rows(ctx) {
//		row := format.Parse(raw, f.Format)
//
// Detect, Count and Read do the same for JSON that is not packed. The methods of Options do it
// for files of which the user said more.
//
// Layouts lists the formats, and for each which keys it uses, which say nothing and which
// refuse a row: no key that carries meaning is left out in silence.
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

	"itool/schemas/toolcall"
)

// Format is how the rows of a file are written.
type Format string

const (
	ToolACE  Format = "toolace"  // the tools in a system text behind a known sentence
	BFCL     Format = "bfcl"     // questions joined with their possible answers; see JoinBFCL
	OpenAI   Format = "openai"   // messages of role and content, with tool_calls
	ShareGPT Format = "sharegpt" // conversations of from and value, tools beside them
	Hermes   Format = "hermes"   // conversations with tools and calls as tagged text
	XLAM     Format = "xlam"     // query, tools, answers
	Glaive   Format = "glaive"   // two texts, system and chat
	Toucan   Format = "toucan"   // messages and tools as JSON in texts
	ToolRL   Format = "toolrl"   // an instruction with tools, a dialogue, an answer with tags
	APIBank  Format = "apibank"  // an instruction with descriptions, a dialogue, an API request
)

// Formats are all formats. Layouts says more of each.
var Formats = []Format{ToolACE, BFCL, OpenAI, ShareGPT, Hermes, XLAM, Glaive, Toucan, ToolRL, APIBank}

// Message is one turn. The role is system, user, assistant or tool.
type Message struct {
	Role    string
	Content string          // of the assistant: the words, or the whole answer as the dataset has it
	Thought string          // what the assistant thought before it, from a field of its own
	Calls   []toolcall.Call // the assistant's calls, if the dataset has them as data and not as text
	Context bool            // a turn of the assistant that is marked not to be learnt
}

// Row is one conversation.
type Row struct {
	Number     int             // in the file, from 0
	ID         string          // the benchmark's own name for it, or ""
	Line       int             // of the file where it begins, from 1; 0: the file has no lines
	Messages   []Message       // at least one; empty when Err is set
	Tools      json.RawMessage // JSON array of tool schemas; nil: none
	Acceptable json.RawMessage // BFCL's possible answers to the last turn; nil: only the text itself
	Category   string          // the benchmark's category, or ""
	OnlyAsked  bool            // a benchmark's row without an answer to learn: it can be asked and judged
	Unknown    []string        // keys that the importer does not know, such as turn.mood, each once
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
	return fmt.Sprintf("%s: %s%s", Place(e.Row, e.Line), field, e.What)
}

// Place names a row of a file; a container without lines, such as Parquet, has none.
func Place(row, line int) string {
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
	return Place(e.Row, e.Line) + ": " + e.What
}

// ErrEmpty is a file without a single row.
var ErrEmpty = errors.New("the file is empty: it needs at least one row")

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
	return Options{}.Read(ctx, r, f, first, rows)
}

// Read does the same for a file of which the user said more.
func (o Options) Read(ctx context.Context, r io.Reader, f Format, first, rows int) iter.Seq2[Row, error] {
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
			if !yield(o.row(raw, err, f, c.rows-1, c.rowLine), nil) {
				return
			}
		}
	}
}

// row turns the bytes of one row into a Row. A row error without a place gets it here.
func (o Options) row(raw []byte, err error, f Format, number, line int) Row {
	row := Row{}
	if err == nil {
		err = checkShape(raw)
	}
	layout, _ := layoutOf(f)
	im := &importer{Options: o, layout: layout}
	if err == nil {
		row, err = im.read(raw)
	}
	if err == nil && len(row.Messages) == 0 {
		err = fail(BadRow, "", "a conversation without a turn")
	}
	if errors.As(err, &row.Err) {
		if other := o.otherFormat(raw, f); other != "" {
			row.Err = &RowError{Problem: BadRow, What: fmt.Sprintf("it looks like a row of %s, but the file "+
				"begins with rows of %s: one file holds rows of one format", other, f)}
		}
		row = Row{ID: row.ID, Category: row.Category, Err: row.Err}
		row.Err.Row, row.Err.Line = number, line
	}
	row.Number, row.Line, row.Unknown = number, line, im.unknown
	return row
}

// read reads a row as its format's importer does.
func (im *importer) read(raw []byte) (Row, error) {
	in, err := im.fields("row", "", raw)
	if err != nil {
		return Row{}, err
	}
	row, err := im.layoutRow(in)
	switch {
	case err != nil || im.turnTools == nil:
	case row.Tools == nil:
		row.Tools = im.turnTools
	case !sameTools(row.Tools, im.turnTools):
		err = fail(BadTools, im.toolsAt, "the row has other tools, too: which of them may be called?")
	}
	return row, err
}

func (im *importer) layoutRow(in fields) (Row, error) {
	switch im.layout.Format {
	case BFCL:
		return im.bfcl(in)
	case XLAM:
		return im.xlam(in)
	case Glaive:
		return im.glaive(in)
	case ToolRL:
		return im.toolRL(in)
	case APIBank:
		return im.apiBank(in)
	}
	return im.conversation(in)
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
