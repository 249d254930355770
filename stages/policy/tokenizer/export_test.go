package tokenizer

import (
	"maps"
	"slices"
)

// Scanned are the expressions that have a scanner.
func Scanned() []string { return slices.Sorted(maps.Keys(scanners)) }

// Scan cuts text by the scanner of expr.
func Scan(expr, text string) (parts []string) {
	for len(text) > 0 {
		n := scanners[expr].first(text)
		parts = append(parts, text[:n])
		text = text[n:]
	}
	return parts
}

// Whole tells whether the scanner of expr leaves nothing between matches.
func Whole(expr string) bool { return scanners[expr].whole }
