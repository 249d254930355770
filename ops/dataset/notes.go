package dataset

import (
	"fmt"
	"sort"
	"strings"

	"itool/stages/split"
)

// Sentences says in words what split noted of a file's rows under these settings.
func Sentences(n *split.Notes, cfg split.Config) (out []string) {
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
	add(n.NullSchemas, "null parts of tools' schemas that only padded a merged table, dropped: %d", n.NullSchemas)
	add(n.Positional, "arguments by position, named after the tool's schema: %d", n.Positional)
	add(n.Moved, "turns that split.exclude names and that ask something else, so that they stay: %d; has the file "+
		"changed? Write the exclusions again", n.Moved)
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
		fmt.Fprintf(&b, "%s (%d rows)", name, of[name])
	}
	return b.String()
}
