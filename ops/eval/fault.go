package eval

import (
	"encoding/json"
	"slices"
	"strings"

	"itool/schemas"
	"itool/schemas/toolcall"
	"itool/schemas/toolcall/apibank"
	"itool/schemas/toolcall/bfcl/multiturn"
)

// fault is what is wrong with an answer before its arguments matter.
type fault string

const (
	noCall     fault = "no_call"    // words, or nothing, where a call is wanted
	unreadable fault = "unreadable" // neither calls nor words
	unoffered  fault = "unoffered"  // it calls a tool that the question does not offer
	refused    fault = "refused"    // the question's own answer fails the check
)

// fault finds what is wrong with a judged answer; "" if it is right, or wrong in its details.
func (c *Case) fault(v schemas.Verdict) fault {
	switch {
	case v.Pass || c == nil:
		return ""
	case c.Refused != "":
		return refused
	case c.Entry != nil:
		if v.ErrorName == multiturn.FaultEmpty {
			return noCall
		}
		return ""
	}
	names, err := c.called(v.Answer)
	switch {
	case v.ErrorName == ErrForm:
		return unreadable
	case err == nil && len(names) == 0 && v.HasCall:
		return noCall
	case slices.ContainsFunc(names, func(name string) bool { return !c.offers(name) }):
		return unoffered
	case !v.Parsed && (toolcall.IsProse(v.Answer) || strings.TrimSpace(v.Answer) == ""):
		return noCall
	case !v.Parsed:
		return unreadable
	}
	return ""
}

// called are the names of the tools that an answer calls.
func (c *Case) called(answer string) (names []string, err error) {
	if c.bank != nil {
		if call, found := apibank.Read(answer); found {
			names = []string{call.Name}
		}
		return names, nil
	}
	turn, err := toolcall.ReadTurn(answer)
	for _, call := range turn.Calls {
		names = append(names, call.Name)
	}
	return names, err
}

// offers tells whether a question offers a tool. API-Bank's level 2 has some in the results of a search.
func (c *Case) offers(name string) bool {
	tools, err := toolcall.ParseTools(json.RawMessage(c.Example.Tools))
	return err != nil || slices.ContainsFunc(tools, func(t toolcall.Tool) bool { return t.Name == name }) ||
		c.bank != nil && strings.Contains(c.Example.Messages, name)
}
