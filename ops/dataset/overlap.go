package dataset

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"

	"itool/stages/split/format"
)

// Overlap says how much of a file that the data should not hold, such as a benchmark's, is in
// it: user turns of at least four words that are the same, or nearly so, as one of the data.
type Overlap struct {
	File      string   `json:"file"`
	Questions int      `json:"questions"` // different user turns of the file
	Exact     int      `json:"exact"`     // turns of the data that are one of them
	Near      int      `json:"near"`      // and that nearly are
	Places    []string `json:"places,omitempty"`
	index     *sketches
}

// leastWords is of a user turn that counts: "yes, please" is everywhere.
const leastWords = 4

// newOverlap reads the questions of a file in any layout that split reads.
func newOverlap(ctx context.Context, path string) (*Overlap, error) {
	o := &Overlap{File: filepath.Base(path), index: newSketches()}
	f, err := format.OpenRows(path)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	defer f.Close()
	for raw, err := range f.Rows(ctx) {
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		var row any
		if raw.Err != nil || json.Unmarshal(raw.Bytes, &row) != nil {
			continue // a row of JSON that is broken has no question
		}
		questions(row, 0, func(text string) {
			k, words := sketchOf(text)
			if _, known := o.index.exact[k.whole]; words >= leastWords && !known {
				o.index.keep(&k, uint64(raw.Number))
				o.Questions++
			}
		})
	}
	if o.Questions == 0 {
		return nil, fmt.Errorf("%s: no question of a user was found in it", path)
	}
	return o, nil
}

// questions finds the texts of users: of messages with a role or a speaker, under the keys that
// benchmarks use, and in the dialogue that API-Bank writes as lines of a text.
func questions(v any, depth int, f func(string)) {
	if depth > 20 {
		return
	}
	switch v := v.(type) {
	case []any:
		for _, item := range v {
			questions(item, depth+1, f)
		}
	case map[string]any:
		role, _ := v["role"].(string)
		if role == "" {
			role, _ = v["from"].(string)
		}
		if strings.EqualFold(role, "user") || strings.EqualFold(role, "human") {
			for _, key := range []string{"content", "value", "text"} {
				if text, ok := v[key].(string); ok {
					f(text)
				}
			}
			return
		}
		for _, key := range []string{"query", "question", "instruction", "input"} {
			if text, ok := v[key].(string); ok {
				dialogue(text, key, f)
			}
		}
		for _, item := range v {
			questions(item, depth+1, f)
		}
	}
}

// dialogue takes the user's lines out of a text, or the text as a whole if it is a question.
func dialogue(text, key string, f func(string)) {
	found := false
	for line := range strings.Lines(text) {
		if said, ok := strings.CutPrefix(strings.TrimSpace(line), "User:"); ok {
			f(said)
			found = true
		}
	}
	if !found && (key == "query" || key == "question") {
		f(text)
	}
}

// add compares a user's turn of the data.
func (o *Overlap) add(k *sketch, where string) {
	at, exact := o.index.find(k)
	if at < 0 {
		return
	}
	if exact {
		o.Exact++
	} else {
		o.Near++
	}
	if len(o.Places) < maxPlaces {
		o.Places = append(o.Places, fmt.Sprintf("%s is in row %d", where, o.index.where[at]))
	}
}
