package main

import (
	"bytes"
	"encoding/json"
	"math"
	"testing"
)

// TestPrintJSON: an object begins with its schema, and is the same every time.
func TestPrintJSON(t *testing.T) {
	for _, c := range []struct {
		v    any
		want string
	}{
		{struct {
			B int            `json:"b"`
			A map[string]int `json:"a"`
		}{1, map[string]int{"y": 2, "x": 1}}, `{"schema":"s/v1","b":1,"a":{"x":1,"y":2}}` + "\n"},
		{struct{}{}, `{"schema":"s/v1"}` + "\n"},
	} {
		var out bytes.Buffer
		if err := printJSON(&out, "s/v1", c.v); err != nil || out.String() != c.want {
			t.Errorf("got %q, %v, want %q", &out, err, c.want)
		}
		out.Reset()
		if err := printIndentedJSON(&out, "s/v1", c.v); err != nil || !json.Valid(out.Bytes()) {
			t.Errorf("indented: %q, %v", &out, err)
		}
	}
	for name, v := range map[string]any{"an array": []int{1}, "no number": map[string]float64{"x": math.NaN()}} {
		if err := printJSON(&bytes.Buffer{}, "s/v1", v); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestJSONHasASchema: of commands that need no run. Those of a run are in TestRun.
func TestJSONHasASchema(t *testing.T) {
	t.Chdir(t.TempDir())
	rows := writeRows(t, ".", 8)
	for _, c := range []struct {
		args   []string
		schema string
	}{
		{[]string{"version", "--json"}, schemaVersion},
		{[]string{"doctor", "--json"}, schemaDoctor},
		{[]string{"data", rows, "--json"}, schemaData},
	} {
		_, out, errs := here(t, c.args...)
		var got struct{ Schema string }
		if err := json.Unmarshal([]byte(out), &got); err != nil || got.Schema != c.schema {
			t.Errorf("%q: schema %q, %v\n%s%s", c.args, got.Schema, err, out, errs)
		}
	}
}
