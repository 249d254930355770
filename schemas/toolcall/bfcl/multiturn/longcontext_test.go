package multiturn_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"itool/schemas/toolcall/bfcl/multiturn"
	"itool/schemas/toolcall/bfcl/multiturn/python"
	"itool/schemas/toolcall/bfcl/multiturn/sim"
	"itool/schemas/toolcall/toolcalltest"
)

// longContextFile writes the texts of long contexts as BFCL's file has them, in Python.
func longContextFile(t testing.TB) string {
	t.Helper()
	data, err := io.ReadAll(toolcalltest.Open(t, "bfcl_multi_turn/long_context_data.json"))
	if err != nil {
		t.Fatal(err)
	}
	v, err := python.ParseJSON(data)
	if err != nil {
		t.Fatal(err)
	}
	values := v.(*python.Dict)
	var file strings.Builder
	for _, name := range values.Keys() {
		value, _ := values.Get(name)
		text, err := python.Repr(value)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&file, "%s = %s\n\n", name, strings.ReplaceAll(text, "{'$ellipsis': True}", "..."))
	}
	return file.String()
}

// TestReadLongContext: calls on worlds with the texts of the Python file and with those of the JSON file return
// the same.
func TestReadLongContext(t *testing.T) {
	python, err := multiturn.ReadLongContext(strings.NewReader(longContextFile(t)))
	if err != nil {
		t.Fatal(err)
	}
	results := map[*sim.Extension][]string{}
	all, json := entries(t), extension(t)
	for i := range 200 {
		e := all[fmt.Sprintf("multi_turn_long_context_%d", i)]
		for _, ext := range []*sim.Extension{python, json} {
			w, err := multiturn.NewWorld(e, multiturn.Options{Extension: ext, Today: madeOn})
			if err != nil {
				t.Fatal(err)
			}
			x := multiturn.NewExecutor(w, e.ID, "model")
			for _, calls := range e.Truth {
				for _, call := range calls {
					results[ext] = append(results[ext], x.Run(call))
				}
			}
		}
	}
	for i, want := range results[json] {
		if got := results[python][i]; got != want {
			t.Errorf("call %d returns %.200s, want %.200s", i, got, want)
		}
	}
}

func TestLongContextErrors(t *testing.T) {
	whole := longContextFile(t)
	called := strings.Replace(whole, "MA_5_EXTENSION = [", "MA_5_EXTENSION = [len('x'), ", 1)
	for name, c := range map[string]struct{ file, want string }{
		"nothing":         {"", "want a "},
		"a call":          {called, "MA_5_EXTENSION: "},
		"a name":          {whole + "X = os\n", "X: "},
		"a statement":     {whole + "import os\n", ": want the end"},
		"a missing value": {strings.Replace(whole, "MA_5_EXTENSION", "M", 1), "MA_5_EXTENSION: want a list"},
		"deep":            {"X = " + strings.Repeat("[", 1e5), "X: "},
		"long":            {strings.Repeat("#", sim.MaxExtension+1), "more than"},
	} {
		if _, err := multiturn.ReadLongContext(strings.NewReader(c.file)); err == nil ||
			!strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
