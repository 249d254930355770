package eval

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"itool/ops/dataset"
	"itool/schemas"
	"itool/schemas/toolcall/bfcl"
	"itool/schemas/toolcall/bfcl/multiturn"
	"itool/schemas/toolcall/bfcl/multiturn/sim"
	"itool/stages/evaluate/converse"
	"itool/stages/split/format"
)

// multiTurn tells the multi-turn categories of BFCL, also by the names of their files.
func multiTurn(name string) bool {
	return strings.HasPrefix(strings.TrimPrefix(name, bfclPrefix), "multi_turn")
}

// docsFolder of a benchmark's folder has the descriptions of the simulated classes.
const docsFolder = "multi_turn_func_doc"

// longContextPlaces are where BFCL's texts of long contexts lie, seen from its folder of data: a copy, or
// where its repository and its package have them.
var longContextPlaces = []string{
	"long_context.py", "../eval_checker/multi_turn_eval/func_source_code/long_context.py", "long_context.json",
}

// longContext returns the file with the texts of long contexts.
func (o Options) longContext(dir string) (string, error) {
	if o.LongContext != "" {
		return o.LongContext, nil
	}
	for _, place := range longContextPlaces {
		path := filepath.Join(dir, filepath.FromSlash(place))
		if _, err := os.Stat(path); err == nil {
			return path, nil
		} else if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
	}
	return "", fmt.Errorf("the texts of long contexts are missing: copy BFCL's file bfcl_eval/%s into %s, or name it "+
		"with --long-context; it is in its repository and in the Python package bfcl-eval 2025.8.6",
		strings.TrimPrefix(longContextPlaces[1], "../"), dir)
}

// unplayable says what a multi-turn category lacks in a benchmark's folder.
func (o Options) unplayable(dir, category string) error {
	if _, err := os.Stat(filepath.Join(dir, docsFolder)); err != nil {
		return fmt.Errorf("the descriptions of its functions are missing: copy BFCL's folder bfcl_eval/data/%s into %s",
			docsFolder, dir)
	}
	if strings.Contains(category, "long_context") {
		_, err := o.longContext(dir)
		return err
	}
	return nil
}

// conversations reads a multi-turn category; its answers stand in possible_answer, the descriptions of the
// functions in multi_turn_func_doc.
func (o Options) conversations(path string) (File, error) {
	f, dir := File{Name: dataset.RunName(path), Protocol: converse.Protocol}, filepath.Dir(path)
	f.session.Today = o.Today
	var err error
	if f.session.Docs, err = readDocs(filepath.Join(dir, docsFolder)); err != nil {
		return f, err
	}
	if strings.Contains(f.Name, "long_context") {
		if f.session.Extension, err = o.readExtension(dir); err != nil {
			return f, err
		}
	}
	questions, err := os.ReadFile(path)
	if err != nil {
		return f, err
	}
	answers, err := os.ReadFile(filepath.Join(dir, "possible_answer", filepath.Base(path)))
	if err != nil {
		return f, err
	}
	for j, err := range format.JoinBFCL(bytes.NewReader(questions), bytes.NewReader(answers)) {
		if err != nil {
			return f, err
		}
		f.addEntry(j)
	}
	return f, nil
}

// addEntry adds a row. One that cannot be played is counted as wrong and says why.
func (f *File) addEntry(j format.Joined) {
	c := Case{ID: j.ID, Example: schemas.Example{
		ID: f.Name + "/" + j.ID, Category: format.BFCLCategory(j.ID), Part: schemas.PartTest, Calls: 1,
	}}
	var err error
	switch c.Entry, err = multiturn.ReadEntry(j.Row, nil); {
	case err != nil:
		c.Refused = err.Error()
	case !j.Answered:
		c.Refused = "it has no possible answer"
	}
	f.Cases = append(f.Cases, c)
}

func readDocs(dir string) (multiturn.Docs, error) {
	docs := multiturn.Docs{}
	for class, name := range multiturn.DocFiles {
		f, err := os.Open(filepath.Join(dir, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // an entry of the class says what it lacks
		}
		if err != nil {
			return nil, err
		}
		err = docs.Read(class, f)
		if err = errors.Join(err, f.Close()); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	return docs, nil
}

func (o Options) readExtension(dir string) (*sim.Extension, error) {
	path, err := o.longContext(dir)
	if err != nil {
		return nil, err
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	read := sim.ReadExtension
	if filepath.Ext(path) == ".py" {
		read = multiturn.ReadLongContext
	}
	e, err := read(f)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return e, nil
}

// inferenceError begins a result in BFCL's files where the model gave none.
const inferenceError = "Error during inference: "

// converse leads a model through a case's conversation.
func (j job) converse(ctx context.Context, m Model) (Answer, error) {
	o := j.file.session
	o.Decode = func(raw string) ([]string, error) { return multiturn.Decode(m.Pythonic(raw)) }
	r, err := converse.Lead(ctx, m, j.c.Entry, o)
	if err != nil {
		return Answer{}, err
	}
	a := Answer{Result: r.Turns, PromptTokens: r.PromptTokens, Tokens: r.Tokens, Cut: r.Cut, Error: r.Stopped}
	if r.Stopped != "" {
		a.Result = inferenceError + r.Stopped
		return a, nil
	}
	for _, steps := range r.Turns {
		for i := range steps {
			steps[i] = m.Pythonic(steps[i])
		}
	}
	return a, nil
}

// conversation judges the answer to a multi-turn case.
func (f *File) conversation(c *Case, a Answer) (schemas.Verdict, error) {
	v := c.verdict(a)
	if text, err := json.Marshal(a.Result); err == nil {
		v.Answer = string(text)
	}
	turns, ok := turnsOf(a.Result)
	if a.Error != "" || !ok {
		v.ErrorName = multiturn.FaultInference
		return v, nil
	}
	found, err := multiturn.CheckCalls(c.Entry, turns, f.session.Options)
	if err != nil {
		return v, fmt.Errorf("%s: %w", c.Example.ID, err)
	}
	v.Parsed = found.Fault != multiturn.FaultEmpty
	if v.Pass, v.ErrorName = found.Valid, found.Fault; found.Valid {
		v.ErrorType = ""
	}
	if found.Fault == multiturn.FaultEmpty {
		v.ErrorType = string(bfcl.ToolsCount)
	}
	return v, nil
}

// turnsOf reads a result of several turns: per turn the calls of all its steps as Python source. A step is a
// text, or a list of calls where the model is asked through functions. Steps that do not decode are left out.
func turnsOf(result any) (turns [][]string, ok bool) {
	all, ok := result.([]any)
	if !ok {
		return nil, false
	}
	for _, turn := range all {
		steps, ok := turn.([]any)
		if !ok {
			return nil, false
		}
		var calls []string
		for _, step := range steps {
			if decoded, err := decodeStep(step); err == nil {
				calls = append(calls, decoded...)
			}
		}
		turns = append(turns, calls)
	}
	return turns, true
}

func decodeStep(step any) ([]string, error) {
	switch s := step.(type) {
	case string:
		return multiturn.Decode(s)
	case []any:
		calls, err := listed(s)
		if err != nil {
			return nil, err
		}
		return multiturn.Sources(calls)
	}
	return nil, errors.New("want a text or a list of calls")
}
