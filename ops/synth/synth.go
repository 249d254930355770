// Package synth generates a dataset of tool-use conversations: requests about journeys,
// weather, messages, money, rooms, goods and tables, candidate tools with near-duplicates,
// and the right answer.
//
// The difficulty is to bind each value to its parameter: two places of which one is the
// origin, the same tool by two makers, words of a request for which a tool's list has
// another word, values of the declared type, optional and nested parameters, up to four
// calls. Values and makers are invented words (words.go). world.go has the tools and the
// ways to ask for them. write.go puts the rows together.
//
// It replaces ToolACE where a dataset must be free and of any size: in the demo, for the
// pretraining of a base model, in tests. Every answer uses only tools, parameters and
// values that its row declares, except literal answers (Config.Literal). The same Config
// gives the same bytes. The package does not know tokens.
//
//	rows, err := synth.Make(synth.Default())
//	err = synth.Write(file, rows)
package synth

import (
	"bufio"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"io"
	"iter"
	"math/rand/v2"
)

// Config says what to generate.
type Config struct {
	Seed uint64 `json:"seed"`
	Rows int    `json:"rows"` // conversations, 1..10,000,000

	Tools   int     `json:"tools"`   // at most so many candidate tools in a row, 1..8
	Calls   int     `json:"calls"`   // at most so many calls in an answer, 1..4
	Turns   int     `json:"turns"`   // at most so many requests in a conversation, independent of each other, 1..8
	Missing float64 `json:"missing"` // share of requests that lack a parameter, [0, 1]; the answer asks for it
	NoTool  float64 `json:"no_tool"` // share of requests that no tool fits, [0, 1]; the answer says so
	// Literal is the share of rows, [0, 1], whose answer quotes the request's words
	// ('Monday', '12', 'off') although the tool declares another type or a list of values
	// (mon, 12, False), as a model does that was not tuned for tools.
	Literal float64 `json:"literal"`
	// AnyOrder shuffles the arguments of every call and changes nothing else. Arguments have
	// names, so any order is right. Without it they have the order of the tool's parameters.
	AnyOrder bool `json:"any_order"`

	// Two datasets of different folds share no tool and no value, with any seeds: each
	// invented word, tool name and number belongs to one of Folds. Exceptions are the
	// values that a tool lists, true and false, and numbers below 100. With Folds 0 or 1
	// a dataset may use everything.
	Fold  int `json:"fold"`
	Folds int `json:"folds"`
}

// Default is a dataset of 1,000 rows with one request each.
func Default() Config {
	return Config{Seed: 1, Rows: 1000, Tools: 6, Calls: 4, Turns: 1, Missing: 0.05, NoTool: 0.05}
}

// mostRows is far below the number of different rows that the smallest Config allows.
const mostRows = 10_000_000

// Validate checks the ranges.
func (c Config) Validate() error {
	share := func(f float64) bool { return f >= 0 && f <= 1 }
	switch {
	case c.Rows < 1 || c.Rows > mostRows:
		return fmt.Errorf("synth.rows: %d is not within 1..%d", c.Rows, mostRows)
	case c.Tools < 1 || c.Tools > 8:
		return fmt.Errorf("synth.tools: %d is not within 1..8", c.Tools)
	case c.Calls < 1 || c.Calls > 4:
		return fmt.Errorf("synth.calls: %d is not within 1..4", c.Calls)
	case !share(c.Missing) || !share(c.NoTool) || !share(c.Missing+c.NoTool):
		return fmt.Errorf("synth.missing, synth.no_tool: %v and %v are not shares with a sum of at most 1",
			c.Missing, c.NoTool)
	case c.Turns < 1 || c.Turns > 8:
		return fmt.Errorf("synth.turns: %d is not within 1..8", c.Turns)
	case !share(c.Literal):
		return fmt.Errorf("synth.literal: %v is not within 0..1", c.Literal)
	case c.Folds < 0 || c.Folds > 100 || c.Fold < 0 || c.Fold >= max(1, c.Folds):
		return fmt.Errorf("synth.fold: %d is not within 0..%d; synth.folds is %d, and may be 100 at most",
			c.Fold, max(1, c.Folds)-1, c.Folds)
	}
	return nil
}

// Message is one turn.
type Message struct {
	Role    string `json:"role"` // user, assistant
	Content string `json:"content"`
}

// Row is one conversation: requests and answers alternate. An answer is a list of calls in
// the form of toolcall.Print, or prose.
type Row struct {
	Messages []Message       `json:"messages"`
	Tools    json.RawMessage `json:"tools"`
}

// Request is the text of the last request.
func (r Row) Request() string { return r.Messages[len(r.Messages)-2].Content }

// Answer is the text of the last answer.
func (r Row) Answer() string { return r.Messages[len(r.Messages)-1].Content }

// Make returns the rows. All are different, for which it remembers a few bytes per row.
func Make(c Config) (iter.Seq[Row], error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	return func(yield func(Row) bool) {
		w := &writer{Config: c, Words: NewWords(c.Seed, c.Fold, c.Folds), order: rand.New(rand.NewPCG(c.Seed, 0x0de))}
		for seen := map[uint64]bool{}; len(seen) < c.Rows; { // it ends: see mostRows
			row := w.row()
			if h := row.hash(); !seen[h] {
				if seen[h] = true; !yield(row) {
					return
				}
			}
		}
	}, nil
}

// hash covers all texts of the row.
func (r Row) hash() uint64 {
	h := fnv.New64a()
	h.Write(r.Tools)
	for _, m := range r.Messages {
		fmt.Fprintf(h, "\x00%s\x00%s", m.Role, m.Content)
	}
	return h.Sum64()
}

// Write writes rows as JSON lines, one conversation each.
func Write(to io.Writer, rows iter.Seq[Row]) error {
	b := bufio.NewWriter(to)
	e := json.NewEncoder(b)
	e.SetEscapeHTML(false)
	for row := range rows {
		if err := e.Encode(row); err != nil {
			return err
		}
	}
	return b.Flush()
}
