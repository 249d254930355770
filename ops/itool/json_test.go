package main

import (
	"bytes"
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
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

// withoutJSON are the verbs that have no --json, and why.
var withoutJSON = map[string]string{
	"work": "it works until it is stopped", "up": "it serves until it is stopped", "ui": "it serves pages",
	"serve": "it serves an API", "chat": "it talks with a person", "completion": "it prints a script",
}

// TestJSONHasASchema: every verb has --json or says why not, and what it prints begins with its schema. Commands that
// need a run are in the tests of runs.
func TestJSONHasASchema(t *testing.T) {
	for _, verb := range newParser(t).Model.Children {
		has := slices.ContainsFunc(verb.Flags, func(f *kong.Flag) bool { return f.Name == "json" })
		if has == (withoutJSON[verb.Name] != "") {
			t.Errorf("itool %s: --json %t, reason to have none %q", verb.Name, has, withoutJSON[verb.Name])
		}
	}
	t.Chdir(t.TempDir())
	rows, base, file := writeRows(t, ".", 8), writeBase(t, ".", nil), writeGGUF(t, ".")
	for _, c := range []struct {
		args   []string
		schema string
	}{
		{[]string{"version", "--json"}, schemaVersion},
		{[]string{"doctor", "--json"}, schemaDoctor},
		{[]string{"data", rows, "--json"}, schemaData},
		{[]string{"synth", "--rows", "3", "--out", "made.jsonl", "--json"}, schemaSynth},
		{[]string{"init", "settings.yaml", "--json"}, schemaInit},
		{[]string{"deploy-config", "access", "--json"}, schemaDeploy},
		{[]string{"import", file, "--out", "model", "--json"}, schemaImport},
		{[]string{"quantize", "--model", base, "--out", "four", "--json"}, schemaQuantize},
	} {
		_, out, errs := here(t, c.args...)
		if !begins(out, c.schema) {
			t.Errorf("%q: want an object of %s\n%s%s", c.args, c.schema, out, errs)
		}
	}
}

// begins reports whether an output is one JSON object that begins with its schema.
func begins(out, schema string) bool {
	text, ok := strings.CutPrefix(out, "{")
	return ok && strings.HasPrefix(strings.TrimSpace(text), `"schema":`) && json.Valid([]byte(out)) &&
		strings.Contains(out, `"`+schema+`"`)
}

// expectJSON runs one command as a process, and returns what it printed as the fields of an object.
func expectJSON(t *testing.T, dir string, code int, schema string, args ...string) (fields map[string]any) {
	t.Helper()
	out, _ := expect(t, dir, code, "", append(args, "--json")...)
	if !begins(out, schema) || json.Unmarshal([]byte(out), &fields) != nil {
		t.Fatalf("itool %s --json: want one object of %s\n%s", strings.Join(args, " "), schema, out)
	}
	return fields
}
