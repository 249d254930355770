package eval

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"

	"itool/schemas"
	"itool/schemas/toolcall"
	"itool/schemas/toolcall/bfcl"
	"itool/stages/judge"
)

// Names of what is wrong with a case besides its answer.
const (
	ErrRefused  = "benchmark:refused"  // its own answer fails the benchmark's check
	ErrNoAnswer = "answer:none"        // the model has none: see Answer.Error
	ErrForm     = "answer:result_form" // its result is neither a text nor a list of calls
)

// Judge makes the verdicts on a folder's answers, in the order of the cases. Cases without an answer are left
// out and counted in missing; so are those that are not asked, as long as others of their file are missing.
func Judge(files []File, dir *Folder) (verdicts []schemas.Verdict, missing int, err error) {
	for _, f := range files {
		partly := slices.ContainsFunc(f.Cases, func(c Case) bool { return c.Refused == "" && !dir.Has(f.Name, c.ID) })
		for i := range f.Cases {
			c := &f.Cases[i]
			if !dir.Has(f.Name, c.ID) && (c.Refused == "" || partly) {
				missing++
				continue
			}
			v, err := f.verdict(c, dir.answers[f.Name][c.ID])
			if err != nil {
				return nil, 0, err
			}
			verdicts = append(verdicts, v)
		}
	}
	return verdicts, missing, nil
}

// verdict is one that does not pass yet.
func (c *Case) verdict(a Answer) schemas.Verdict {
	return schemas.Verdict{
		ExampleID: c.Example.ID, Part: schemas.PartTest, Category: c.Example.Category, HasCall: c.Example.Calls > 0,
		Tokens: int32(min(a.Tokens, 1<<31-1)), Cut: a.Cut, ErrorType: string(bfcl.Other),
	}
}

func (f *File) verdict(c *Case, a Answer) (schemas.Verdict, error) {
	v := c.verdict(a)
	switch {
	case c.Refused != "":
		v.HasCall, v.ErrorName = true, ErrRefused
		return v, nil
	case c.Entry != nil:
		return f.conversation(c, a)
	case a.Error != "":
		v.ErrorName = ErrNoAnswer
		return v, nil
	}
	text, err := textOf(a.Result, c.Example.Category)
	if v.Answer = text; err != nil {
		v.ErrorName, v.ErrorType = ErrForm, string(bfcl.CodeSyntax)
		return v, nil //nolint:nilerr // it is the verdict
	}
	if c.bank != nil {
		c.bank.judge(&v)
		return v, nil
	}
	x, err := judge.NewExaminer(&c.Example)
	if err != nil {
		return v, err
	}
	r := x.Outcome(text, a.Cut)
	v.HasCall = x.HasCall()
	v.Parsed, v.Pass, v.ErrorName, v.ErrorType = r.Parsed, r.Pass, r.ErrorName, r.ErrorType
	return v, nil
}

// textOf writes a result as the text that the judge reads. Models that are asked through functions have a list
// of calls there.
func textOf(result any, category string) (string, error) {
	switch r := result.(type) {
	case string:
		return r, nil
	case []any:
		calls, err := listed(r)
		if err != nil {
			return "", err
		}
		return listText(calls, category), nil
	}
	return "", errors.New("want a text or a list of calls")
}

// listed reads a list of calls, each an object of a name with its arguments, which are JSON or a text of JSON.
func listed(result []any) ([]toolcall.Call, error) {
	var calls []toolcall.Call
	for _, one := range result {
		object, ok := one.(map[string]any)
		if !ok || len(object) != 1 {
			return nil, errors.New("want objects of one name with its arguments")
		}
		for name, args := range object {
			text, ok := args.(string)
			if !ok {
				data, err := json.Marshal(args)
				if err != nil {
					return nil, err
				}
				text = string(data)
			}
			call, err := callOf(name, text)
			if err != nil {
				return nil, err
			}
			calls = append(calls, call)
		}
	}
	return calls, nil
}

// callOf makes a call of the given arguments, a JSON object.
func callOf(name, args string) (toolcall.Call, error) {
	call := toolcall.Call{Name: name}
	v, err := toolcall.FromJSON([]byte(args))
	if err == nil {
		call.Args, err = toolcall.ArgsOf(v)
	}
	return call, err
}

// pythonic writes an answer that reads as calls in another format as the benchmark wants it, so that its own
// program can judge it. Any other text stays.
func pythonic(text, category string) string {
	f := toolcall.FormatOf(text)
	if f == toolcall.Pythonic {
		return text
	}
	turn, err := f.ReadTurn(text)
	if err != nil || len(turn.Calls) == 0 {
		return text
	}
	return listText(turn.Calls, category)
}

// listText writes calls as a model that answers in text would.
func listText(calls []toolcall.Call, category string) string {
	texts := make([]string, len(calls))
	for i, c := range calls {
		texts[i] = printed(c, category)
	}
	return "[" + strings.Join(texts, ", ") + "]"
}

// printed writes a call. Java's and JavaScript's arguments are source text, which stands as it is.
func printed(call toolcall.Call, category string) string {
	if category != "java" && category != "javascript" {
		all := toolcall.Print([]toolcall.Call{call})
		return all[1 : len(all)-1] // without its brackets
	}
	var parts []string
	for _, a := range call.Args {
		text := a.Value.String()
		if a.Value.Kind == toolcall.String {
			text = a.Value.Text
		}
		parts = append(parts, a.Name+"="+text)
	}
	return call.Name + "(" + strings.Join(parts, ", ") + ")"
}
