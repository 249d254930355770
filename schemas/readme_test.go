package schemas_test

import (
	"fmt"
	"os"
	"reflect"
	"strings"
	"testing"
)

const (
	columnsBegin = "<!-- columns: written by `go test ./schemas -update` from the structs -->\n"
	columnsEnd   = "<!-- end of columns -->\n"
)

// README.md is the contract for other languages: it names every record and has the columns
// of the code.
func TestReadmeNamesEveryColumn(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), columnsBegin)
	have, after, ok2 := strings.Cut(rest, columnsEnd)
	if !ok || !ok2 {
		t.Fatalf("README.md lacks the marks %q and %q", columnsBegin, columnsEnd)
	}
	want := columns(t)
	if *update {
		if err := os.WriteFile("README.md", []byte(before+columnsBegin+want+columnsEnd+after), 0o644); err != nil {
			t.Fatal(err)
		}
		have = want
	}
	if have != want {
		t.Errorf("the columns in README.md are not those of the structs: run go test ./schemas -update")
	}
	for _, r := range records {
		if !strings.Contains(before, "`"+r.schema+"`") {
			t.Errorf("README.md: the table of records lacks %s", r.schema)
		}
		for i := range r.row.NumField() {
			if column := r.row.Field(i).Tag.Get("arrow"); !strings.Contains(have, "| `"+column+"` |") {
				t.Errorf("README.md: %s lacks column %s", r.schema, column)
			}
		}
	}
}

func columns(t *testing.T) string {
	types := map[reflect.Type]released{}
	byName := map[string]reflect.Type{}
	for _, r := range records {
		types[r.row], byName[r.row.Name()] = r, r.row
	}
	var out strings.Builder
	for _, s := range source(t) {
		row := byName[s.name]
		if row == nil {
			t.Fatalf("record %s is not in the list records of evolve_test.go: add it there", s.name)
		}
		fmt.Fprintf(&out, "\n### %s\n\n%s\n", types[row].schema, s.doc)
		out.WriteString("| column | type | meaning, unit |\n|---|---|---|\n")
		for i, f := range s.fields {
			field := row.Field(i)
			column, meaning := field.Tag.Get("arrow"), escape.Replace(f.comment)
			fmt.Fprintf(&out, "| `%s` | %s | %s |\n", column, arrowName(field.Type), meaning)
		}
	}
	return out.String() + "\n"
}

// escape replaces what Markdown would read as a table or as HTML.
var escape = strings.NewReplacer("|", `\|`, "<", "&lt;")

func arrowName(t reflect.Type) string {
	switch {
	case t.Kind() == reflect.String:
		return "utf8"
	case t == reflect.TypeFor[[]byte]():
		return "binary"
	case t.Kind() == reflect.Slice:
		return "list of " + arrowName(t.Elem())
	}
	return t.Kind().String()
}
