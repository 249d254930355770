package bfcltest

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"

	"itool/schemas/toolcall"
	"itool/schemas/toolcall/bfcl"
)

// Editions are the versions of bfcl-eval whose verdicts are compared.
var Editions = map[toolcall.Edition]string{toolcall.V3: "2025.8.6", toolcall.V4: "2026.3.23"}

// A Judged is a case with the original's errors, "" for a valid answer, in the order V3, V4. One that begins with
// "raises" is an exception of the original, which would end its run.
type Judged struct {
	Case
	Errors [2]string `json:"errors"`
}

// A Comparison says how a verdict compares with the original's.
type Comparison int

// The comparisons, the worst last.
const (
	Same     Comparison = iota
	Unsure              // the answer is refused, because the original may read it otherwise or not at all
	Other               // not passed by either, with another error
	Stricter            // not passed here
	Kinder              // passed here alone
)

// Compare judges a case and compares the result with the original's of one edition.
func (j *Judged) Compare(edition toolcall.Edition) (Comparison, *bfcl.Mismatch, error) {
	tools, err := toolcall.ParseTools(j.Function)
	if err != nil {
		return 0, nil, fmt.Errorf("%s: %w", j.ID, err)
	}
	var want bfcl.Expected
	if categories[j.Category] {
		if want, err = bfcl.ParseExpected(j.GroundTruth); err != nil {
			return 0, nil, fmt.Errorf("%s: %w", j.ID, err)
		}
	}
	m := bfcl.JudgeEdition(j.Raw, tools, want, bfcl.RuleOf(j.Category), edition)
	theirs := j.Errors[edition]
	switch {
	case m == nil && theirs == "", m != nil && m.Name == theirs:
		return Same, m, nil
	case m == nil:
		return Kinder, m, nil
	case m.Unsure:
		return Unsure, m, nil
	case theirs == "":
		return Stricter, m, nil
	case len(theirs) > 6 && theirs[:6] == "raises":
		return Same, m, nil // the original has no verdict
	}
	return Other, m, nil
}

// Read reads cases with verdicts that Write wrote.
func Read(r io.Reader) ([]Judged, error) {
	unzipped, err := gzip.NewReader(r)
	if err != nil {
		return nil, err
	}
	var all []Judged
	for dec := json.NewDecoder(bufio.NewReader(unzipped)); ; {
		var j Judged
		if err := dec.Decode(&j); err == io.EOF {
			return all, nil
		} else if err != nil {
			return nil, err
		}
		all = append(all, j)
	}
}

// Write writes cases with verdicts as compressed JSON lines.
func Write(w io.Writer, all []Judged) error {
	zipped, err := gzip.NewWriterLevel(w, gzip.BestCompression)
	if err != nil {
		return err
	}
	enc := json.NewEncoder(zipped)
	enc.SetEscapeHTML(false)
	for _, j := range all {
		if err := enc.Encode(j); err != nil {
			return err
		}
	}
	return zipped.Close()
}
