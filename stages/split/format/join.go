package format

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
)

// Joined is a question of BFCL, on one line, with its possible answers in it as
// "ground_truth". Answered is false when there are none: such a row can be
// published, too, and is then counted as dropped.
type Joined struct {
	ID       string
	Row      json.RawMessage
	Answered bool
}

// JoinBFCL joins BFCL's question file with its file of possible answers, by id and
// in the order of the questions, into rows that Read knows as BFCL. It holds all
// answers in memory. An error ends the iteration and names file and row.
func JoinBFCL(questions, answers io.Reader) iter.Seq2[Joined, error] {
	return func(yield func(Joined, error) bool) {
		truths := map[string]json.RawMessage{}
		for raw, err := range objects(answers) {
			id, truth, err := answer(raw, err)
			if err == nil && truths[id] != nil {
				err = fmt.Errorf("id %s stands there twice", id)
			}
			if err != nil {
				yield(Joined{}, fmt.Errorf("answers: %w", err))
				return
			}
			truths[id] = truth
		}
		for raw, err := range objects(questions) {
			j, err := join(raw, err, truths)
			if err != nil {
				yield(Joined{}, fmt.Errorf("questions: %w", err))
				return
			}
			if !yield(j, nil) {
				return
			}
		}
	}
}

// objects yields the rows of a file; any trouble is an error here, with its row.
func objects(r io.Reader) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		for c := newCutter(r); ; {
			raw, err := c.next()
			if errors.Is(err, io.EOF) {
				return
			}
			if err == nil {
				err = checkShape(raw)
			}
			var row *RowError
			if errors.As(err, &row) {
				row.Row, row.Line = c.rows-1, c.rowLine
			}
			if !yield(raw, err) || err != nil {
				return
			}
		}
	}
}

func answer(raw []byte, err error) (string, json.RawMessage, error) {
	if err != nil {
		return "", nil, err
	}
	var in struct {
		ID          string          `json:"id"`
		GroundTruth json.RawMessage `json:"ground_truth"`
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return "", nil, err
	}
	if in.ID == "" || len(in.GroundTruth) == 0 {
		return "", nil, fmt.Errorf("%s: want id and ground_truth", shorten(string(raw), 80))
	}
	return in.ID, bytes.Clone(in.GroundTruth), nil
}

func join(raw []byte, err error, truths map[string]json.RawMessage) (Joined, error) {
	if err != nil {
		return Joined{}, err
	}
	var in struct {
		ID          string          `json:"id"`
		GroundTruth json.RawMessage `json:"ground_truth"`
	}
	if err := json.Unmarshal(raw, &in); err != nil {
		return Joined{}, err
	}
	if in.ID == "" {
		return Joined{}, fmt.Errorf("%s: want an id", shorten(string(raw), 80))
	}
	truth, answered := truths[in.ID]
	var line bytes.Buffer
	if err := json.Compact(&line, raw); err != nil {
		return Joined{}, err
	}
	switch {
	case len(in.GroundTruth) > 0: // joined before
		answered = true
	case answered:
		line.Truncate(line.Len() - 1) // the last brace
		line.WriteString(`,"ground_truth":`)
		if err := json.Compact(&line, truth); err != nil {
			return Joined{}, err
		}
		line.WriteByte('}')
	}
	return Joined{ID: in.ID, Row: line.Bytes(), Answered: answered}, nil
}
