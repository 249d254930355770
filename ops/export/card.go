package export

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"text/template"

	"itool/ops/config"
	"itool/ops/report"
	"itool/schemas"
	"itool/stages/evaluate/stats"
)

// Card is the file that Hugging Face shows of a model.
const Card = "README.md"

// hubName is how models are named on Hugging Face.
var hubName = regexp.MustCompile(`^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$`)

// card is what the template of a model card reads.
type card struct {
	*report.Report
	Policy  report.Policy
	Merged  bool
	Version string
	Adapter struct {
		Rank  int     `json:"r"`
		Alpha float64 `json:"lora_alpha"`
	}
}

// WriteCard writes the model card of a policy: whose adapter of which base it is, how right its answers are, on
// what data and with which settings it was trained, and what it does not do. Every figure is the report's, so the
// same run has the same card. settings is the adapter_config.json of the policy.
func WriteCard(w io.Writer, r *report.Report, p report.Policy, settings []byte, merged bool, version string) error {
	c := card{Report: r, Policy: p, Merged: merged, Version: version}
	if err := json.Unmarshal(settings, &c.Adapter); err != nil {
		return fmt.Errorf("%s: %w", AdapterConfig, err)
	}
	var b bytes.Buffer
	if err := cardTemplate.Execute(&b, c); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

// HubBase is the base's name if it is one of Hugging Face, else "".
func (c card) HubBase() string {
	if hubName.MatchString(c.Base) && strings.Count(c.Base, "/") == 1 {
		return c.Base
	}
	return ""
}

// Sentence is the verdict on the whole run, if this is its last policy.
func (c card) Sentence() string {
	if f := c.Final(); f == nil || f.Digest != c.Policy.Digest {
		return ""
	}
	return c.Verdict().Text
}

// Evaluated are the policies up to this one with an accuracy.
func (c card) Evaluated() (out []report.Policy) {
	for _, p := range c.Policies {
		if p.Accuracy != nil && p.Round <= c.Policy.Round {
			out = append(out, p)
		}
	}
	return out
}

// Learnt are the turns in the words of the report.
func (c card) Learnt() int { return c.Rows.Parts[schemas.PartTrain] }

// changedSetting is a setting that is not at its default.
type changedSetting struct{ Name, Value string }

// Changed are the settings that are not at their defaults, by name.
func (c card) Changed() ([]changedSetting, error) {
	text, _, err := config.Default().Freeze()
	if err != nil {
		return nil, err
	}
	defaults, here := leaves([]byte(text)), leaves(c.Config)
	var out []changedSetting
	for name, value := range here {
		if value != defaults[name] {
			out = append(out, changedSetting{name, value})
		}
	}
	slices.SortFunc(out, func(a, b changedSetting) int { return strings.Compare(a.Name, b.Name) })
	return out, nil
}

// leaves are the values of nested JSON objects by their dotted paths.
func leaves(text json.RawMessage) map[string]string {
	out := map[string]string{}
	var walk func(path string, text json.RawMessage)
	walk = func(path string, text json.RawMessage) {
		var inner map[string]json.RawMessage
		if json.Unmarshal(text, &inner) != nil || inner == nil {
			out[path] = string(text)
			return
		}
		for key, value := range inner {
			walk(strings.TrimPrefix(path+"."+key, "."), value)
		}
	}
	walk("", text)
	return out
}

// cell is text that came from a user or a file, for a table of Markdown.
func cell(text string) string {
	text = report.Plain(text)
	if len(text) > 200 {
		text = strings.ToValidUTF8(text[:200], "") + "…"
	}
	return strings.NewReplacer("|", "\\|", "`", "'", "<", "&lt;", "[", "\\[").Replace(text)
}

// yaml is a text as YAML and JSON both read it.
func yaml(text string) (string, error) {
	b, err := json.Marshal(text)
	return string(b), err
}

var cardTemplate = template.Must(template.New("card").Funcs(template.FuncMap{
	"cell": cell, "yaml": yaml,
	"change": func(d *stats.Difference) string {
		if d == nil {
			return "–"
		}
		return fmt.Sprintf("%+.1f [%+.1f, %+.1f]", 100*d.Mean, 100*d.Low, 100*d.High)
	},
	"short": func(digest string) string { return digest[:min(12, len(digest))] },
}).Parse(`---
{{- with .HubBase }}
base_model: {{ yaml . }}
{{- end }}
library_name: {{ if .Merged }}transformers{{ else }}peft{{ end }}
pipeline_tag: text-generation
tags:
- function-calling
- tool-use
- lora
- itool
---

# {{ cell .Run }}, {{ .Policy.Name }}

{{ if .Merged }}A language model{{ else }}A LoRA adapter (PEFT){{ end }} that calls tools, trained by iterative
reinforced fine-tuning ([arXiv 2501.09766](https://arxiv.org/abs/2501.09766)) with itool {{ cell .Version }}.

| | |
|---|---|
| base | {{ with .Base }}{{ cell . }}{{ else }}not named{{ end }} |
| adapter | rank {{ .Adapter.Rank }}, alpha {{ .Adapter.Alpha }} |
| policy | {{ .Policy.Name }}: {{ cell .Policy.Status }}, {{ .Policy.Steps }} steps on {{ .Policy.Examples }} examples |
| digest of the policy | {{ .Policy.Digest }} |
| digest of the base | {{ (index .Policies 0).Digest }} |
| digest of the settings | {{ .ConfigDigest }} |
| seed | {{ .Seed }} |

## How right it is
{{ with .Sentence }}
{{ cell . }}.
{{ end }}
{{- with .Evaluated }}
Exact match of greedy answers on held-out rows, with 95 % intervals over the rows. The change is to the line above,
paired row by row.

| policy | rows that want a call | change in points | all rows |
|---|---|---|---|
{{- range . }}
| {{ .Name }} | {{ .Accuracy.Calls }} | {{ change .Accuracy.Gain }} | {{ .Accuracy.Pass }} |
{{- end }}
{{ else }}
Nothing was evaluated.
{{ end }}
## What it was trained on

| file | format | rows | SHA-256 |
|---|---|---|---|
{{- range .Datasets }}
| {{ cell .Name }} | {{ cell .Format }} | {{ .Rows }} | {{ short .SHA256 }} |
{{- end }}

{{ .Rows.Kept }} of {{ .Rows.Total }} assistant turns were usable, {{ .Learnt }} of them were trained on.

## Settings

{{ with .Changed }}All others are itool's defaults.

| setting | value |
|---|---|
{{- range . }}
| {{ .Name }} | {{ cell .Value }} |
{{- end }}
{{ else }}All are itool's defaults.
{{ end }}
## What it does not do

- The intervals say how the numbers would vary with other rows of the same kind, not with another training seed.
- It was measured on calls only: not on conversation, safety, or languages and tools that the data lacks. What the base
  could do else may have suffered.
- It is trained for one chat template and one form of calls. Use the base's template
  {{- if not .Merged }}, and this base: on another one its answers mean nothing{{ end }}.
- The licence is that of the base and of the data; this file does not know them. Add both before you publish.
`))
