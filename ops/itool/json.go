package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// The schemas of what --json prints, besides those of package inspect. A field that is new leaves a schema as it is;
// one that goes or changes makes /v2.
const (
	schemaSummary  = "itool.summary/v1" // of run, demo and resume
	schemaRuns     = "itool.runs/v1"
	schemaReport   = "itool.report/v1"
	schemaData     = "itool.data/v1"
	schemaDoctor   = "itool.doctor/v1"
	schemaEstimate = "itool.estimate/v1"
	schemaEval     = "itool.eval/v1"
	schemaLab      = "itool.lab/v1"
	schemaConform  = "itool.conform/v1"
	schemaVersion  = "itool.version/v1"
	schemaFailed   = "itool.failed/v1"
)

// printJSON prints a struct or a map as one line of JSON: an object that begins with its schema. The order of its
// fields is that of the struct, of a map that of the alphabet.
func printJSON(w io.Writer, schema string, v any) error {
	text, err := withSchema(schema, v)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", text)
	return err
}

// printIndentedJSON is printJSON in lines that people can read.
func printIndentedJSON(w io.Writer, schema string, v any) error {
	text, err := withSchema(schema, v)
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := json.Indent(&b, text, "", "  "); err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", &b)
	return err
}

func withSchema(schema string, v any) ([]byte, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	rest, ok := bytes.CutPrefix(text, []byte("{"))
	if !ok {
		return nil, fmt.Errorf("%s is no object", schema)
	}
	begin := fmt.Sprintf(`{"schema":%q`, schema)
	if rest[0] != '}' {
		begin += ","
	}
	return append([]byte(begin), rest...), nil
}
