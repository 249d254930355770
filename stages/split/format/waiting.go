package format

import (
	"slices"

	"itool/schemas/toolcall"
)

// waiting are the calls of a row whose results have not come yet. Prompts show neither ids nor
// names beside the results, so the results must stand in the order of the calls.
type waiting struct {
	calls []waitingCall
	ids   bool            // some call has an id
	early map[string]bool // ids of results that stand before their call, or have none
}

type waitingCall struct{ id, name string }

// called adds the calls of a turn. follows: it stands directly behind a turn of the assistant, so
// that the calls of both wait. Others, which never got a result, wait no longer.
func (w *waiting) called(place string, calls []toolcall.Call, ids []string, follows bool) error {
	if len(calls) > 0 && !follows {
		w.calls = nil
	}
	for i, call := range calls {
		c := waitingCall{name: call.Name}
		if i < len(ids) {
			c.id = ids[i]
		}
		if w.early[c.id] {
			return fail(BadRow, place, "the result of call %q stands before it", shorten(c.id, 60))
		}
		w.ids = w.ids || c.id != ""
		w.calls = append(w.calls, c)
	}
	return nil
}

// result takes the call that a result is of from the calls that wait.
func (w *waiting) result(f fields) error {
	key := "tool_call_id"
	said, err := optional(f.at(key), f.get(key))
	if err != nil {
		return err
	}
	of := func(c waitingCall) bool { return c.id == said }
	if said == "" && kind(f.get("name")) == "a text" {
		key = "name"
		if said, err = text(f.at(key), f.get(key)); err != nil {
			return err
		}
		of = func(c waitingCall) bool { return c.name == said }
	}
	at := slices.IndexFunc(w.calls, of)
	switch {
	case said == "": // the results stand in the order of the calls
		w.calls = w.calls[min(1, len(w.calls)):]
	case at == 0:
		w.calls = w.calls[1:]
	case at > 0:
		return fail(BadRow, f.at(key), "%q answers a later call than the next one: "+
			"prompts show no ids, so the results must be in the order of the calls", shorten(said, 60))
	case key == "name": // programs name results as they like
	case w.ids && len(w.calls) > 0:
		return fail(BadRow, f.at(key), "no call before it that waits for its result has the id %q; "+
			"if the ids say nothing in this file, name tool_call_id in split.ignore_keys", shorten(said, 60))
	default:
		if w.early == nil {
			w.early = map[string]bool{}
		}
		w.early[said] = true
	}
	return nil
}
