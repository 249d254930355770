package format_test

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"itool/stages/split/format"
)

var update = flag.Bool("update", false, "write the guide's tables again")

const (
	guide = "../../../ops/guide/own-data.md"
	begin = "<!-- formats: go test ./stages/split/format -run Guide -update -->\n"
	end   = "<!-- end of formats -->\n"
)

// TestGuide: the guide's tables of formats and keys are those of the code.
func TestGuide(t *testing.T) {
	page, err := os.ReadFile(guide)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, opened := strings.Cut(string(page), begin)
	_, after, closed := strings.Cut(rest, end)
	if !opened || !closed {
		t.Fatalf("%s has no place for the tables", guide)
	}
	want := before + begin + tables() + end + after
	if *update {
		if err := os.WriteFile(guide, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	} else if string(page) != want {
		t.Errorf("%s lags behind the importers: go test ./stages/split/format -run Guide -update", guide)
	}
	layouts := format.Layouts()
	if len(layouts) != len(format.Formats) {
		t.Errorf("%d layouts of %d formats", len(layouts), len(format.Formats))
	}
	for i, l := range layouts {
		if l.Format != format.Formats[i] {
			t.Errorf("layout %d is of %s, want %s", i, l.Format, format.Formats[i])
		}
		for _, k := range l.Keys {
			all := slices.Sorted(slices.Values(slices.Concat(k.Used, k.Silent, k.Refused)))
			for i := range all[1:] {
				if all[i] == all[i+1] {
					t.Errorf("%s, %s: %q is in two lists", l.Format, k.Of, all[i])
				}
			}
		}
	}
}

// tables writes the guide's tables.
func tables() string {
	var b bytes.Buffer
	layouts := format.Layouts()
	common := layouts[0].Keys[0]
	for _, l := range layouts[1:] {
		k := l.Keys[0]
		common.Silent = both(common.Silent, k.Silent)
		common.Refused = both(common.Refused, k.Refused)
	}
	b.WriteString("| format | written by | a row | keys of a row that are used | that say nothing | that refuse it |" +
		"\n|---|---|---|---|---|---|\n")
	for _, l := range layouts {
		k := l.Keys[0]
		fmt.Fprintf(&b, "| [%s](../../stages/split/format/testdata/rows/%s.jsonl) | %s | `%s` | %s | %s | %s |\n",
			l.Format, l.Format, l.From, l.Looks, keys(k.Used, nil), keys(k.Silent, common.Silent),
			keys(k.Refused, common.Refused))
	}
	b.WriteString("\n| in every format | used | say nothing | refuse the row |\n|---|---|---|---|\n")
	fmt.Fprintf(&b, "| row | | %s | %s |\n", keys(common.Silent, nil), keys(common.Refused, nil))
	for _, k := range layouts[0].Keys[1:] {
		fmt.Fprintf(&b, "| %s | %s | %s | %s |\n", k.Of, keys(k.Used, nil), keys(k.Silent, nil), keys(k.Refused, nil))
	}
	return b.String()
}

func both(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return !slices.Contains(b, s) })
}

// keys lists the keys that are not in without.
func keys(list, without []string) string {
	var out []string
	for _, s := range list {
		if !slices.Contains(without, s) {
			out = append(out, "`"+s+"`")
		}
	}
	return strings.Join(out, " ")
}
