package report

import (
	"encoding/json"
	"fmt"
	"sort"
	"strings"

	"itool/stages/split"
)

// DatasetNotes are sentences on the files of the run: what they were read as, and what became of their rows
// besides being kept or dropped.
func (r *Report) DatasetNotes() []string {
	var cfg struct{ Split split.Config }
	_ = json.Unmarshal(r.Config, &cfg) // a run's configuration was read before
	var out []string
	for _, d := range r.Datasets {
		out = append(out, fmt.Sprintf("%s: %d rows, read as %s", d.Name, d.Rows, d.Format))
		if d.Notes != nil {
			for _, s := range sentences(d.Notes, cfg.Split) {
				out = append(out, "  "+s)
			}
		}
	}
	return out
}

// sentences says notes in words.
func sentences(n *split.Notes, cfg split.Config) (out []string) {
	add := func(count int, format string, args ...any) {
		if count > 0 {
			out = append(out, fmt.Sprintf(format, args...))
		}
	}
	add(len(n.Unknown), "keys that are not known and not used: %s", listed(n.Unknown))
	add(n.Reasoning, "rows with reasoning: %d; split.reasoning is %s", n.Reasoning, cfg.Reasoning)
	add(n.Passages, "rows whose text dictated another form of calls: %d; split.format_text stands there instead",
		n.Passages)
	add(n.NullArguments, "null arguments that only padded a merged table, dropped: %d", n.NullArguments)
	add(n.NullSchemas, "null properties of tools that only padded a merged table, dropped: %d", n.NullSchemas)
	add(n.Positional, "arguments by position, named after the tool's schema: %d", n.Positional)
	add(len(n.Unchecked), "parts of tools that no check of an answer knows: %s", listed(n.Unchecked))
	return out
}

// listed names the most frequent entries.
func listed(of map[string]int) string {
	const most = 8
	names := make([]string, 0, len(of))
	for name := range of {
		names = append(names, name)
	}
	sort.Slice(names, func(i, j int) bool {
		if of[names[i]] != of[names[j]] {
			return of[names[i]] > of[names[j]]
		}
		return names[i] < names[j]
	})
	var b strings.Builder
	for i, name := range names {
		if i == most {
			fmt.Fprintf(&b, " and %d more", len(names)-most)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s (%d rows)", shorten(name, 80), of[name])
	}
	return b.String()
}
