package report

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// StrayNotes say what was in the run's stream beside its records, a sentence each.
func (r *Report) StrayNotes() (notes []string) {
	if r.Foreign > 0 {
		notes = append(notes, fmt.Sprintf("%d foreign messages on the run's subjects were ignored: another client "+
			"publishes there", r.Foreign))
	}
	if n := len(r.Refused); n > 0 {
		writers := map[string]bool{}
		for _, f := range r.Refused {
			writers[f.Worker] = true
		}
		names := slices.Sorted(maps.Keys(writers))
		notes = append(notes, fmt.Sprintf("%d results were refused and their items done again; their writers: %s; "+
			"the last reason: %s", n, strings.Join(names[:min(3, len(names))], ", "), r.Refused[n-1].Error))
	}
	if n := len(r.Unreadable); n > 0 {
		notes = append(notes, fmt.Sprintf("%d records cannot be read and are left out, the first: %s",
			n, r.Unreadable[0]))
	}
	return notes
}
