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
	schemaRequeue  = "itool.requeue/v1" // of failed --requeue
	schemaPublish  = "itool.publish/v1"
	schemaWatch    = "itool.watch/v1"
	schemaFork     = "itool.fork/v1"
	schemaCancel   = "itool.cancel/v1"
	schemaRetire   = "itool.retire/v1"
	schemaQuota    = "itool.quota/v1"
	schemaGC       = "itool.gc/v1"
	schemaFsck     = "itool.fsck/v1"
	schemaExport   = "itool.export/v1"
	schemaImport   = "itool.import/v1"
	schemaQuantize = "itool.quantize/v1"
	schemaDeploy   = "itool.deploy-config/v1"
	schemaInit     = "itool.init/v1"
	schemaSynth    = "itool.synth/v1"
	schemaPretrain = "itool.pretrain/v1"
)

// jsonOption is the flag of a verb that says at its end what it did.
type jsonOption struct {
	JSON bool `name:"json" help:"Print what was done as one JSON object instead of text."`
}

// print says what was done: the result as JSON, or the text for people.
func (o jsonOption) print(a *app, schema string, result any, format string, args ...any) error {
	if o.JSON {
		return printJSON(a.out, schema, result)
	}
	_, err := fmt.Fprintf(a.out, format, args...)
	return err
}

// remarks are where text goes that stands beside the result.
func (o jsonOption) remarks(a *app) io.Writer {
	if o.JSON {
		return a.errs
	}
	return a.out
}

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
