package bfcl

import (
	"strconv"

	"itool/schemas/toolcall"
)

// Check compares calls with the expected ones; nil is a pass. The same input gives the same
// result. Check neither changes nor keeps its arguments.
func Check(calls []toolcall.Call, tools []toolcall.Tool, want Expected, rule Rule) *Mismatch {
	switch rule {
	case Irrelevance:
		if len(calls) > 0 {
			return mismatch(irrelevanceCalled, "", "want no call, got %d", len(calls))
		}
		return nil
	case Relevance:
		if len(calls) == 0 {
			return mismatch(relevanceSilent, "", "want a call, got none")
		}
		return nil
	case Parallel:
		return checkParallel(calls, tools, want)
	case Multiple:
		if len(calls) != len(want) {
			return mismatch(wrongCountMultiple, "", "want %d calls, got %d", len(want), len(calls))
		}
		if len(want) == 0 {
			return nil
		}
		return checkCall(calls[0], describe(tools, want[0].Name), want[0], python)
	}
	return checkSimple(calls, tools, want, rule)
}

func checkSimple(calls []toolcall.Call, tools []toolcall.Tool, want Expected, rule Rule) *Mismatch {
	if len(calls) != 1 || len(want) == 0 {
		if len(calls) == len(want) {
			return nil
		}
		return mismatch(wrongCountSimple, "", "want one call, got %d", len(calls))
	}
	return checkCall(calls[0], toolOf(tools, want[0], rule), want[0], languageOf(rule))
}

// toolOf is the tool that a wanted call is checked against: the first one under the rules for one
// tool, else the one of its name.
func toolOf(tools []toolcall.Tool, want Want, rule Rule) toolcall.Tool {
	if rule == Parallel || rule == Multiple || len(tools) == 0 {
		return describe(tools, want.Name)
	}
	return tools[0]
}

func languageOf(rule Rule) language {
	switch rule {
	case SimpleJava:
		return java
	case SimpleJavaScript:
		return javaScript
	}
	return python
}

// describe finds a tool by name. A tool that is not found has no parameters: every argument
// is unexpected.
func describe(tools []toolcall.Tool, name string) toolcall.Tool {
	for _, tool := range tools {
		if tool.Name == name {
			return tool
		}
	}
	return toolcall.Tool{Name: name}
}

// checkParallel matches greedily: each wanted call takes the first free call that passes. A
// match is never undone.
func checkParallel(calls []toolcall.Call, tools []toolcall.Tool, want Expected) *Mismatch {
	if len(calls) != len(want) {
		return mismatch(wrongCountParallel, "", "want %d calls, got %d", len(want), len(calls))
	}
	taken := make([]bool, len(calls))
	for _, w := range want {
		tool := describe(tools, w.Name)
		var nearest *Mismatch
		found := false
		for i := range calls {
			if taken[i] {
				continue
			}
			m := checkCall(calls[i], tool, w, python)
			if found = m == nil; found {
				taken[i] = true
				break
			}
			if nearest == nil || rank(m) > rank(nearest) {
				nearest = m
			}
		}
		if !found {
			m := mismatch(cannotFindMatch, nearest.Param, "nearest: %s", nearest)
			m.Call, m.Type = w.Name, nearest.Type
			return m
		}
	}
	return nil
}

// rank tells how far the check of a call got before it failed.
func rank(m *Mismatch) int {
	switch m.Type {
	case ToolName:
		return 0
	case ParameterCount, ParameterName:
		return 1
	}
	return 2
}

// checkCall checks one call in BFCL's order: the name, required parameters, each given argument
// (known, type, value), absent arguments.
func checkCall(call toolcall.Call, tool toolcall.Tool, want Want, lang language) *Mismatch {
	if want.reference != nil && toolcall.Equal([]toolcall.Call{call}, []toolcall.Call{*want.reference}) {
		return nil
	}
	m := checkArgs(call, tool, want, lang)
	if m != nil {
		m.Call = call.Name
	}
	return m
}

func checkArgs(call toolcall.Call, tool toolcall.Tool, want Want, lang language) *Mismatch {
	if call.Name != tool.Name {
		return mismatch(wrongFuncName, "", "want %s", tool.Name)
	}
	for _, name := range tool.Required {
		if _, given := call.Arg(name); !given {
			return mismatch(missingRequired, name, "required, not given")
		}
	}
	for _, arg := range call.Args {
		if m := checkParam(arg, tool, want, lang); m != nil {
			return m
		}
	}
	for _, accept := range want.Args {
		if _, given := call.Arg(accept.Name); !given && !accept.Optional {
			return mismatch(missingOptional, accept.Name, "not given")
		}
	}
	return nil
}

// checkParam checks one argument: that tool and expectation know it, then type and value.
func checkParam(arg toolcall.Arg, tool toolcall.Tool, want Want, lang language) *Mismatch {
	param, known := tool.Param(arg.Name)
	accept, wanted := want.arg(arg.Name)
	if !known || !wanted {
		return mismatch(unexpectedParam, arg.Name, "unknown to the tool, or not expected")
	}
	m := checkArg(arg.Value.CallsAsDicts(), param, accept, lang)
	if m != nil {
		m.Param = arg.Name
	}
	return m
}

// checkArg checks the type, then the value.
func checkArg(v toolcall.Value, param toolcall.Param, accept Accept, lang language) *Mismatch {
	if lang != python && v.Kind != toolcall.String {
		name := typeJava
		if lang == javaScript {
			name = typeJavaScript
		}
		return mismatch(name, "", "want source text, got a %s", v.Kind)
	}
	want := declared(param, accept, lang)
	v = lang.convert(v, param)
	if param.Type == "tuple" {
		v, accept = tupleAsList(v), tuplesAsLists(accept)
	}
	if want.kind == toolcall.Float && v.Kind == toolcall.Int && lang == python { // Python's only automatic conversion
		f, err := strconv.ParseFloat(v.Text, 64)
		if err != nil { // beyond the range of a float
			return mismatch(typeSimple, "", "%s is too large for a float", v.Short())
		}
		v = toolcall.Number(f)
	}
	variable, m := checkType(v, want, accept)
	if m != nil {
		return m
	}
	return checkValue(v, want, variable, accept)
}

func tupleAsList(v toolcall.Value) toolcall.Value {
	if v.Kind == toolcall.Tuple {
		v.Kind = toolcall.List
	}
	return v
}

// tuplesAsLists does the same for references. BFCL's own answers are JSON and have no tuples.
func tuplesAsLists(accept Accept) Accept {
	values := make([]toolcall.Value, len(accept.Values))
	for i, v := range accept.Values {
		values[i] = tupleAsList(v)
	}
	accept.Values = values
	return accept
}
