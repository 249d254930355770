package dataset

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"

	"itool/stages/split"
)

// Exclusion is a line of an exclusion file: the row that is left out, and what it says to the person who decides.
// The file is JSON lines. Only source and row must be there; other keys than these are an error.
type Exclusion struct {
	split.Exclusion
	Reference  string  `json:"reference,omitempty"`  // the doubtful label
	Answer     string  `json:"answer,omitempty"`     // what the policies say instead
	Confidence float64 `json:"confidence,omitempty"` // their mean probability of it, 0..1
}

// maxExclusions bounds the lines of a file: all of them become part of a run's settings.
const maxExclusions = 10_000

// Exclusions reads an exclusion file. Errors name the line.
func Exclusions(file string) ([]split.Exclusion, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("exclusions: %w", err)
	}
	defer f.Close()
	var all []split.Exclusion
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for n := 1; lines.Scan(); n++ {
		text := bytes.TrimSpace(lines.Bytes())
		if len(text) == 0 {
			continue
		}
		var x Exclusion
		d := json.NewDecoder(bytes.NewReader(text))
		d.DisallowUnknownFields()
		if err := d.Decode(&x); err != nil {
			return nil, fmt.Errorf("exclusions: %s line %d: %w", file, n, err)
		}
		if d.More() {
			return nil, fmt.Errorf("exclusions: %s line %d: more than one object stands there", file, n)
		}
		if err := x.Validate(); err != nil {
			return nil, fmt.Errorf("exclusions: %s line %d: %w", file, n, err)
		}
		if all = append(all, x.Exclusion); len(all) > maxExclusions {
			return nil, fmt.Errorf("exclusions: %s has more than %d lines: delete the rows from the dataset instead",
				file, maxExclusions)
		}
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("exclusions: %s: %w", file, err)
	}
	return all, nil
}
