package ui

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"

	"itool/ops/courier"
	"itool/ops/inspect"
)

// Limits of what one answer shows.
const (
	mostExamples = 50
	mostTrees    = 100
)

// inspected opens a run for a question about its examples or trees.
func (s *Server) inspected(ctx context.Context, r *http.Request) (*inspect.Run, func(), error) {
	name, err := runName(r)
	if err != nil {
		return nil, nil, err
	}
	c, release, err := s.o.Source.Open(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	run, err := inspect.Open(ctx, c, name)
	if err != nil {
		release()
		return nil, nil, err
	}
	return run, release, nil
}

// fragment writes a part of the page that its script puts in place. A run that has nothing to show yet is no
// failure: none says so.
func fragment(w http.ResponseWriter, name string, data any, err error) error {
	var none *inspect.NoAnswersError
	if errors.As(err, &none) {
		name, data, err = "none", none.Error(), nil
	}
	if err != nil {
		return err
	}
	text, err := toString(name, data)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, err = w.Write([]byte(text))
	return err
}

// Examples are the examples of a list.
type Examples struct {
	*inspect.Examples
	Live bool
}

// More counts the examples that were found and are not shown.
func (e Examples) More() int { return e.Total - len(e.Examples.Examples) }

// Before is the type of error before; "": the answer was right, or there was none.
func (e Examples) Before(x inspect.Example) string { return errorOf(x, e.From.Round) }

// After is the type of error after.
func (e Examples) After(x inspect.Example) string { return errorOf(x, e.To.Round) }

func errorOf(x inspect.Example, round int) string {
	for _, a := range x.Answers {
		if a.Round == round && !a.Pass {
			return a.ErrorType
		}
	}
	return ""
}

// Pretty formats JSON for people.
func (Examples) Pretty(text json.RawMessage) string {
	var b bytes.Buffer
	if json.Indent(&b, text, "", "  ") != nil {
		return string(text)
	}
	return b.String()
}

// examples shows the examples that the page's filter asks for.
func (s *Server) examples(w http.ResponseWriter, r *http.Request) error {
	run, release, err := s.inspected(r.Context(), r)
	if err != nil {
		return err
	}
	defer release()
	f, err := filterOf(r.URL.Query())
	if err != nil {
		return err
	}
	found, err := byEffect(r.Context(), run, f)
	return fragment(w, "example-list", Examples{found, true}, err)
}

// byEffect finds examples; unless the filter asks for one effect, those that matter most come first.
func byEffect(ctx context.Context, run *inspect.Run, f inspect.Filter) (*inspect.Examples, error) {
	if f.Effect != "" || f.Part != "" || len(f.IDs) > 0 {
		return run.Examples(ctx, f)
	}
	var all *inspect.Examples
	limit := f.Limit
	for _, effect := range []inspect.Effect{inspect.Lost, inspect.Won, inspect.StayedWrong, inspect.StayedRight} {
		f.Effect = effect
		found, err := run.Examples(ctx, f)
		if err != nil {
			return nil, err
		}
		if all == nil {
			all = found
			continue
		}
		all.Total += found.Total
		room := limit - len(all.Examples)
		all.Examples = append(all.Examples, found.Examples[:min(max(0, room), len(found.Examples))]...)
	}
	return all, nil
}

// Same is an answer that several policies gave, one after the other.
type Same struct {
	inspect.Answer
	Policies string
}

// Merged are the answers to an example. Policies that answer the same one after the other share one.
func (Examples) Merged(x inspect.Example) (out []Same) {
	for i, a := range x.Answers {
		if n := len(out); i > 0 && a.From == out[n-1].From && a.Text == out[n-1].Text && a.Pass == out[n-1].Pass {
			out[n-1].Policies += ", " + a.Policy
			continue
		}
		out = append(out, Same{a, a.Policy})
	}
	return out
}

// filterOf reads a filter from the query of an address.
func filterOf(q url.Values) (inspect.Filter, error) {
	f := inspect.Filter{
		Effect: inspect.Effect(q.Get("effect")), Either: q.Get("type"), Category: q.Get("category"),
		Tool: q.Get("tool"), Parameter: q.Get("parameter"), Part: q.Get("part"), Limit: mostExamples,
	}
	if id := q.Get("id"); id != "" {
		f.IDs = []string{id}
	}
	for key, to := range map[string]**int{"from": &f.From, "to": &f.To} {
		text := q.Get(key)
		if text == "" {
			continue
		}
		n, err := strconv.Atoi(text)
		if err != nil {
			return f, fmt.Errorf("%w: %s=%.20q is no round", errAsked, key, text)
		}
		*to = &n
	}
	return f, nil
}

// places shows which tools and parameters the errors are about.
func (s *Server) places(w http.ResponseWriter, r *http.Request) error {
	run, release, err := s.inspected(r.Context(), r)
	if err != nil {
		return err
	}
	defer release()
	d, err := run.Deficiency(r.Context())
	if d != nil {
		d.Places = d.Places[:min(len(d.Places), mostExamples)]
	}
	return fragment(w, "places", d, err)
}

// Frozen are the examples and trees that a file of the page holds, since it has no server to ask.
type Frozen struct {
	Examples *Examples
	Trees    []*TreeView
}

// Limits of a file.
const (
	frozenExamples = 100 // of each effect
	frozenTrees    = 12
	frozenNodes    = 3000 // of all trees
	frozenDepth    = 60
)

// freezeRun reads what a file shows of a run: examples that changed or stayed wrong, and trees of the last round.
func freezeRun(ctx context.Context, c *courier.Courier, name string) (Frozen, error) {
	var f Frozen
	run, err := inspect.Open(ctx, c, name)
	if err != nil {
		return f, err
	}
	for _, effect := range []inspect.Effect{inspect.Lost, inspect.Won, inspect.StayedWrong} {
		found, err := run.Examples(ctx, inspect.Filter{Effect: effect, Limit: frozenExamples})
		var none *inspect.NoAnswersError
		if errors.As(err, &none) {
			break
		}
		if err != nil {
			return f, err
		}
		if f.Examples == nil {
			f.Examples = &Examples{Examples: found}
			continue
		}
		f.Examples.Total += found.Total
		f.Examples.Examples.Examples = append(f.Examples.Examples.Examples, found.Examples...)
	}
	f.Trees, err = frozenTreesOf(ctx, run)
	return f, err
}
