package score

import (
	"encoding/json"
	"slices"

	"itool/schemas"
	"itool/schemas/toolcall"
	"itool/stages/policy"
)

// canonical returns the tokens of the reference with the arguments of every call in the
// order of its tool's schema; arguments that the schema does not list come last, in their
// order. The order of calls and of the fields within an argument stays. A reference that is
// in this order already keeps its tokens, and so does one that holds no call, cannot be
// read, or would not fit into the context.
func canonical(p *policy.Policy, ex *schemas.Example) []int32 {
	if ex.Calls == 0 {
		return ex.AnswerIDs
	}
	tools, err := toolcall.ParseTools(json.RawMessage(ex.Tools))
	if err != nil {
		return ex.AnswerIDs
	}
	format := toolcall.FormatOf(ex.Reference)
	turn, err := format.ReadTurn(ex.Reference)
	if err != nil {
		return ex.AnswerIDs
	}
	if turn.Calls, _, err = toolcall.Bind(turn.Calls, tools); err != nil {
		return ex.AnswerIDs
	}
	moved := false
	for i, call := range turn.Calls {
		at := slices.IndexFunc(tools, func(t toolcall.Tool) bool { return t.Name == call.Name })
		if at < 0 {
			continue
		}
		args := inOrder(call.Args, tools[at].Params)
		if !sameNames(args, call.Args) {
			turn.Calls, moved = slices.Clone(turn.Calls), true
			turn.Calls[i].Args = args
		}
	}
	if !moved {
		return ex.AnswerIDs
	}
	ids := p.Answer(format.PrintTurn(turn))
	if len(ex.PromptIDs)+len(ids) > p.ContextLength() {
		return ex.AnswerIDs
	}
	return ids
}

// inOrder returns the arguments in the order of the parameters.
func inOrder(args []toolcall.Arg, params []toolcall.Param) []toolcall.Arg {
	place := func(a toolcall.Arg) int {
		i := slices.IndexFunc(params, func(p toolcall.Param) bool { return p.Name == a.Name })
		if i < 0 {
			return len(params)
		}
		return i
	}
	out := slices.Clone(args)
	slices.SortStableFunc(out, func(a, b toolcall.Arg) int { return place(a) - place(b) })
	return out
}

func sameNames(a, b []toolcall.Arg) bool {
	return slices.EqualFunc(a, b, func(x, y toolcall.Arg) bool { return x.Name == y.Name })
}
