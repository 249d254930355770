package schemas_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"itool/schemas"
)

// names are the record names with the schema of their rows.
var names = map[string]string{
	schemas.RecordRun:       "run/v2",
	schemas.RecordShard:     "shard/v1",
	schemas.RecordExample:   "example/v1",
	schemas.RecordBuffer:    "example/v1",
	schemas.RecordRoot:      "example/v1",
	schemas.RecordCase:      "example/v1",
	schemas.RecordScore:     "score/v2",
	schemas.RecordSelection: "selection/v3",
	schemas.RecordCandidate: "candidate/v2",
	schemas.RecordPair:      "pair/v2",
	schemas.RecordPolicy:    "policy/v1",
	schemas.RecordVerdict:   "verdict/v1",
	schemas.RecordManifest:  "manifest/v1",
	schemas.RecordGather:    "gather/v1",
	schemas.RecordFailed:    "failed/v1",
	schemas.RecordRefused:   "failed/v1",
	schemas.RecordCancel:    "end/v1",
	schemas.RecordEnd:       "end/v1",
}

// Every stored record has a name, the name is that of its schema unless its rows are
// another record's, and README.md lists it with its schema.
func TestRecordNamesAgreeWithSchemas(t *testing.T) {
	var known []string
	for _, r := range records {
		known = append(known, r.schema)
		name, _, _ := strings.Cut(r.schema, "/")
		if _, ok := names[name]; !ok && r.schema != (schemas.Progress{}).Schema() {
			t.Errorf("%s has no Record constant", r.schema)
		}
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	table, _, _ := strings.Cut(string(readme), "## A message")
	for name, schema := range names {
		if !slices.Contains(known, schema) {
			t.Errorf("record %s: no record has the schema %s", name, schema)
		}
		if !strings.Contains(table, "`"+name+".") {
			t.Errorf("README.md: the table of records lacks the subject of %s", name)
		}
		// The rows of a record with a schema of its own have that schema.
		own := slices.ContainsFunc(known, func(s string) bool { return strings.HasPrefix(s, name+"/") })
		if own && !strings.HasPrefix(schema, name+"/") {
			t.Errorf("record %s has rows of %s", name, schema)
		}
	}
}

// The keys are part of subjects: a changed one would hide every record of older runs.
func TestKeys(t *testing.T) {
	for _, c := range []struct{ have, want string }{
		{schemas.KeyRun, "run"}, {schemas.KeyCancel, "run"}, {schemas.KeyEnd, "end"},
		{schemas.KeySelection, "selection"}, {schemas.KeyPolicy, "policy"},
	} {
		if c.have != c.want {
			t.Errorf("a key is %q, released runs have %q", c.have, c.want)
		}
	}
}
