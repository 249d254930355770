package inspect

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"itool/stages/judge"
)

// NotThereError says that a filter asks for a word that nothing in the run has, and which there are. It may be a slip
// of the pen: "nothing found" would be taken for an answer.
type NotThereError struct {
	Run  string
	What string // such as "type of error"
	Word string
	// There counts what has each word.
	There map[string]int
}

func (e *NotThereError) Error() string {
	var there []string
	for _, word := range slices.Sorted(maps.Keys(e.There)) {
		there = append(there, fmt.Sprintf("%s (%d)", word, e.There[word]))
	}
	if len(there) == 0 {
		there = []string{"none"}
	}
	return fmt.Sprintf("run %s has no %s %q; there are: %s", e.Run, e.What, e.Word, strings.Join(there, ", "))
}

// unknown is the error of a word that is asked for and not there; nil: it is, or none is asked for.
func (r *Run) unknown(what, word string, there map[string]int) error {
	if word == "" || there[word] > 0 {
		return nil
	}
	return &NotThereError{r.Name, what, word, there}
}

// errorTypes counts the wrong answers of all policies by their types.
func errorTypes(answers map[string][]given) map[string]int {
	types := map[string]int{}
	for _, all := range answers {
		for _, g := range all {
			if !g.Pass && g.ErrorType != "" {
				types[g.ErrorType]++
			}
		}
	}
	return types
}

// faultPlaces counts the answers of all policies by the tools and the parameters that they have faults at.
type faultPlaces struct{ tools, parameters map[string]int }

func newFaultPlaces() faultPlaces { return faultPlaces{map[string]int{}, map[string]int{}} }

func (p faultPlaces) add(faults []judge.Fault) {
	tools, parameters := map[string]bool{}, map[string]bool{}
	for _, x := range faults {
		tools[x.Tool], parameters[x.Param] = true, true
	}
	for _, x := range []struct {
		to   map[string]int
		from map[string]bool
	}{{p.tools, tools}, {p.parameters, parameters}} {
		for word := range x.from {
			if word != "" {
				x.to[word]++
			}
		}
	}
}

// check is an error if a filter asks for a tool or a parameter that no answer has a fault at.
func (p faultPlaces) check(r *Run, f Filter) error {
	if err := r.unknown("fault at the tool", f.Tool, p.tools); err != nil {
		return err
	}
	return r.unknown("fault at the parameter", f.Parameter, p.parameters)
}

// words counts what trees have, of each kind that a filter may ask for.
type words struct{ types, kinds, reasons map[string]int }

func (w *words) add(s *TreeSummary) {
	for _, x := range []struct {
		to   *map[string]int
		from map[string]int
	}{{&w.types, s.Wrong}, {&w.kinds, s.Kinds}, {&w.reasons, s.Dropped}} {
		if *x.to == nil {
			*x.to = map[string]int{}
		}
		for word, n := range x.from {
			(*x.to)[word] += n
		}
	}
}

// check is an error if a filter asks for a word that no tree has.
func (w *words) check(r *Run, f TreeFilter) error {
	if err := r.unknown("type of error in its trees", f.ErrorType, w.types); err != nil {
		return err
	}
	if err := r.unknown("pair of the kind", f.Kind, w.kinds); err != nil {
		return err
	}
	return r.unknown("pair that was dropped for", f.Reason, w.reasons)
}
