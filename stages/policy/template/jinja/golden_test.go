package jinja_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"

	"itool/stages/policy/template/jinja"
)

// row is one rendering by Python's jinja2, set up as transformers does.
type row struct {
	ID, Kind, Name, Conversation string
	Template                     string
	Context                      json.RawMessage
	Out                          *string
	Err                          *string
}

// clock is what strftime_now said when the rows were made.
var clock = time.Date(2025, 3, 9, 15, 4, 5, 0, time.UTC)

// golden reads a file of shared third-party data, which lies beside the repository.
func golden(t *testing.T, name string, visit func(row)) {
	t.Helper()
	dir := "../../../../../shared/data/chat_templates_real"
	f, err := os.Open(filepath.Join(dir, name))
	if errors.Is(err, os.ErrNotExist) {
		t.Skipf("%s is not there: third-party data is not part of the repository", dir)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		var r row
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		if r.Kind == "" { // a real template, in a file
			source, err := os.ReadFile(filepath.Join(dir, r.Template))
			if err != nil {
				t.Fatal(err)
			}
			r.Kind, r.Template = r.Name+"/"+r.Conversation, string(source)
		}
		visit(r)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
}

func render(source string, context json.RawMessage) (string, error) {
	tmpl, err := jinja.Parse(source)
	if err != nil {
		return "", err
	}
	v, err := jinja.FromJSON(context, nil)
	if err != nil {
		return "", err
	}
	return tmpl.Render(jinja.VarsOf(v.(*jinja.Dict)), jinja.Options{Now: clock})
}

// Every row is right, or refused where Python refuses. None is wrong in silence.
func TestGolden(t *testing.T) {
	for _, file := range []string{"grammar_a.jsonl", "real_a.jsonl"} {
		t.Run(file, func(t *testing.T) {
			rows, raised := 0, 0
			golden(t, file, func(r row) {
				rows++
				got, err := render(r.Template, r.Context)
				switch {
				case r.Out == nil && err == nil:
					t.Errorf("%s %s: %.300q\ngot  %.300q\nwant an error: %s", r.ID, r.Kind, r.Template, got, *r.Err)
				case r.Out == nil:
					raised++
				case err != nil:
					t.Errorf("%s %s: %.300q\ngot  %v\nwant %.300q", r.ID, r.Kind, r.Template, err, *r.Out)
				case got != *r.Out:
					t.Errorf("%s %s: %.300q\ngot  %.300q\nwant %.300q", r.ID, r.Kind, r.Template, got, *r.Out)
				}
			})
			t.Logf("%d rows, %d of them raise in Python and here", rows, raised)
		})
	}
}
