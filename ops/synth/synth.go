// Package synth makes a dataset of tool-use conversations out of nothing: requests
// in a small world of cities, people, rooms and money, a few candidate tools with
// near-duplicates, and the answer that is right.
//
// It stands in for ToolACE where a dataset must be free, small and without end: the
// demo, the making of a base model, tests. Every answer keeps to its own tools, but
// the literal ones. The same Config gives the same bytes. It knows no tokens.
//
//	rows, err := synth.Make(synth.Default())
//	err = synth.Write(file, rows)
package synth

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"iter"
	"math/rand/v2"
)

// Config says how much of what to make.
type Config struct {
	Seed uint64 `json:"seed"`
	Rows int    `json:"rows"` // conversations, > 0

	Tools   int     `json:"tools"`   // most candidate tools of a row, 1..8
	Calls   int     `json:"calls"`   // most calls of an answer, 1..4
	Missing float64 `json:"missing"` // share of requests that lack a parameter, [0, 1]; the answer asks for it
	NoTool  float64 `json:"no_tool"` // share of requests that no tool fits, [0, 1]; the answer says so
	Open    float64 `json:"open"`    // share of names and cities that stand on no list, [0, 1]
	// Literal is the share of rows, [0, 1], whose answer quotes the request's words
	// ('Monday', '12', 'off') whatever type or list of values the tool declares (mon,
	// 12, False): the habit of a model that was not tuned for tools.
	Literal float64 `json:"literal"`

	// A row belongs to one of Folds by its content, whatever the seed: two datasets
	// of different folds share no row. Folds 0 or 1: everything.
	Fold  int `json:"fold"`
	Folds int `json:"folds"`
}

// Default is a dataset of 1,000 rows with values from closed lists.
func Default() Config {
	return Config{Seed: 1, Rows: 1000, Tools: 4, Calls: 3, Missing: 0.05, NoTool: 0.05}
}

// Validate checks the ranges.
func (c Config) Validate() error {
	share := func(f float64) bool { return f >= 0 && f <= 1 }
	switch {
	case c.Rows < 1:
		return fmt.Errorf("synth.rows: %d: want at least 1", c.Rows)
	case c.Tools < 1 || c.Tools > 8:
		return fmt.Errorf("synth.tools: %d is not within 1..8", c.Tools)
	case c.Calls < 1 || c.Calls > 4:
		return fmt.Errorf("synth.calls: %d is not within 1..4", c.Calls)
	case !share(c.Missing) || !share(c.NoTool) || !share(c.Missing+c.NoTool):
		return fmt.Errorf("synth.missing, synth.no_tool: %v and %v are not shares that leave room for calls", c.Missing, c.NoTool)
	case !share(c.Open):
		return fmt.Errorf("synth.open: %v is not within 0..1", c.Open)
	case !share(c.Literal):
		return fmt.Errorf("synth.literal: %v is not within 0..1", c.Literal)
	case c.Folds < 0 || c.Folds > 100 || c.Fold < 0 || c.Fold >= max(1, c.Folds):
		return fmt.Errorf("synth.fold: %d is not one of synth.folds %d (at most 100)", c.Fold, c.Folds)
	}
	return nil
}

// Message is one turn.
type Message struct {
	Role    string `json:"role"` // user, assistant
	Content string `json:"content"`
}

// Row is one conversation: a request and its answer, which is calls as
// toolcall.Print writes them, or prose.
type Row struct {
	Messages []Message       `json:"messages"`
	Tools    json.RawMessage `json:"tools"`
}

// Request and Answer are the texts of the two turns.
func (r Row) Request() string { return r.Messages[0].Content }

// Answer: see Request.
func (r Row) Answer() string { return r.Messages[len(r.Messages)-1].Content }

// barren is how many rows in a row may be of no use before the world is held to be
// used up.
const barren = 3000

// ErrUsedUp: the world has no more different rows.
var ErrUsedUp = errors.New("synth: the world has no more rows that differ: ask for fewer rows or folds, or for more tools, calls or open values")

// Make returns the rows, all different. Memory grows by a few bytes a row.
func Make(c Config) (iter.Seq2[Row, error], error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return func(yield func(Row, error) bool) {
		w := &writer{rand: rand.New(rand.NewPCG(c.Seed, 0x5e7)), Config: c}
		seen := map[uint64]bool{}
		useless := 0
		for len(seen) < c.Rows {
			row := w.row()
			h := row.hash()
			if seen[h] || c.Folds > 1 && h%uint64(c.Folds) != uint64(c.Fold) {
				if useless++; useless == barren {
					yield(Row{}, ErrUsedUp)
					return
				}
				continue
			}
			useless, seen[h] = 0, true
			if !yield(row, nil) {
				return
			}
		}
	}, nil
}

// hash is of everything that a reader of the row sees.
func (r Row) hash() uint64 {
	h := fnv.New64a()
	h.Write(r.Tools)
	for _, m := range r.Messages {
		fmt.Fprintf(h, "\x00%s\x00%s", m.Role, m.Content)
	}
	// FNV's low bits are weak: the fold is taken from mixed ones.
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	return x ^ x>>33
}

// Write writes rows as JSON lines, one conversation each.
func Write(to io.Writer, rows iter.Seq2[Row, error]) error {
	b := bufio.NewWriter(to)
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	for row, err := range rows {
		if err == nil {
			err = e.Encode(row)
		}
		if err != nil {
			return err
		}
	}
	return b.Flush()
}
