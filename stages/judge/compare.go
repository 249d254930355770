package judge

import (
	"slices"
	"strings"

	"itool/schemas/toolcall"
	"itool/schemas/toolcall/bfcl"
)

// Comparison lays an answer beside what was wanted: for people, who want to see where it is wrong. Whether it is
// wrong says Result.
type Comparison struct {
	Result
	// Why is what the checker says of its first fault; "" if it says no more than the error's name.
	Why string
	// Calls are those that the answer reads as; nil: it does not read as calls.
	Calls []toolcall.Call
	// Faults are all differences that count, in the order of the answer; those that are missing come last. Empty: it
	// passes, or it is not compared call by call.
	Faults []Fault
	// Parts are the answer as it was read, in which what is wrong and what is missing is marked. Without the missing
	// parts they are the answer, without the wrong ones about the reference.
	Parts []Part
}

// FaultKind says what is wrong with an answer.
type FaultKind string

// The kinds of faults.
const (
	FaultValue            FaultKind = "value"             // an argument has a wrong value
	FaultMissingParameter FaultKind = "missing parameter" // an argument that must be given is not
	FaultExtraParameter   FaultKind = "extra parameter"   // an argument is given that is not wanted
	FaultTool             FaultKind = "tool"              // a call is of another tool than the wanted one
	FaultMissingCall      FaultKind = "missing call"      // a wanted call is not there
	FaultExtraCall        FaultKind = "extra call"        // a call stands for no wanted one; also where prose is wanted
	FaultNoCall           FaultKind = "no call"           // words, where a call is wanted
	FaultUnreadable       FaultKind = "unreadable"        // it does not read as calls
	FaultCut              FaultKind = "cut"               // it reached the limit of length
	FaultOther            FaultKind = "other"             // the check refuses it for another reason
)

// Fault is one difference between an answer and the reference. Want and Got are as a call writes them; several
// accepted values stand with " or " between them.
type Fault struct {
	Kind  FaultKind `json:"kind"`
	Tool  string    `json:"tool,omitempty"`      // of the reference; of the answer for an extra call
	Param string    `json:"parameter,omitempty"` // if an argument is at fault
	Want  string    `json:"want,omitempty"`
	Got   string    `json:"got,omitempty"`
}

// Mark says what a part of an answer is.
type Mark string

// The marks.
const (
	Same    Mark = "same"    // as wanted
	Wrong   Mark = "wrong"   // given and not wanted
	Missing Mark = "missing" // wanted and not given
)

// Part is a piece of text with its mark.
type Part struct {
	Mark Mark   `json:"mark"`
	Text string `json:"text"`
}

// Compare judges an answer as Outcome does and says what is wrong with it.
func (e *Examiner) Compare(answer string, cut bool) Comparison {
	c := Comparison{}
	c.Result, _ = e.outcome(answer, cut)
	var m *bfcl.Mismatch
	if e.hasCall || e.benchmark {
		m, c.Calls = e.check(answer)
	} else if !c.Pass {
		c.Calls, _ = toolcall.FormatOf(answer).Read(answer)
	}
	if m != nil {
		c.Why = m.String()
	}
	d := &differ{e: e}
	switch {
	case c.Pass:
		d.part(Same, answer)
	case len(c.Calls) > 0 && !e.hasCall:
		d.unwanted(c.Calls)
	case len(c.Calls) > 0 && d.calls(c.Calls):
	default:
		d.text(answer)
	}
	if cut && !c.Pass {
		d.faults = append(d.faults, Fault{Kind: FaultCut})
	}
	if !c.Pass && len(d.faults) == 0 {
		d.faults = append(d.faults, Fault{Kind: FaultOther})
	}
	c.Faults, c.Parts = d.faults, d.parts
	return c
}

// Reference returns the calls that are wanted, one each, with its accepted values; nil: none is.
func (e *Examiner) Reference() []string {
	var all []string
	for i := range e.want {
		all = append(all, wantedCall(e.single(i)))
	}
	return all
}

// differ collects faults and parts.
type differ struct {
	e      *Examiner
	faults []Fault
	parts  []Part
}

func (d *differ) part(mark Mark, text string) {
	if n := len(d.parts); n > 0 && d.parts[n-1].Mark == mark {
		d.parts[n-1].Text += text
	} else if text != "" {
		d.parts = append(d.parts, Part{mark, text})
	}
}

// text is an answer that is not compared call by call.
func (d *differ) text(answer string) {
	kind := FaultUnreadable
	switch {
	case !d.e.hasCall:
		kind = FaultOther
	case answer == "" || toolcall.IsProse(answer):
		kind = FaultNoCall
	}
	d.faults = append(d.faults, Fault{Kind: kind, Tool: d.firstTool()})
	if d.e.hasCall {
		d.part(Missing, "["+strings.Join(d.e.Reference(), ", ")+"]")
	}
	d.part(Wrong, answer)
}

// firstTool is the tool of the first wanted call.
func (d *differ) firstTool() string {
	if len(d.e.want) == 0 {
		return ""
	}
	return d.e.single(0).Tool()
}

// unwanted is calls where words were wanted.
func (d *differ) unwanted(calls []toolcall.Call) {
	for _, c := range calls {
		d.faults = append(d.faults, Fault{Kind: FaultExtraCall, Tool: c.Name, Got: printed(c)})
	}
	d.part(Wrong, toolcall.Print(calls))
}

// calls compares calls with the wanted ones. ok is false if they cannot be compared.
func (d *differ) calls(calls []toolcall.Call) (ok bool) {
	stands, ok := bfcl.Align(calls, d.e.tools, d.e.want, d.e.rule)
	if !ok {
		return false
	}
	d.part(Same, "[")
	for i, c := range calls {
		if i > 0 {
			mark := Same
			if stands[i] < 0 {
				mark = Wrong
			}
			d.part(mark, ", ")
		}
		if stands[i] < 0 {
			text := printed(c)
			d.faults = append(d.faults, Fault{Kind: FaultExtraCall, Tool: c.Name, Got: text})
			d.part(Wrong, text)
			continue
		}
		d.call(c, d.e.single(stands[i]))
	}
	for i := range d.e.want {
		if slices.Contains(stands, i) {
			continue
		}
		single := d.e.single(i)
		text := wantedCall(single)
		d.faults = append(d.faults, Fault{Kind: FaultMissingCall, Tool: single.Tool(), Want: text})
		d.part(Missing, ", "+text)
	}
	d.part(Same, "]")
	return true
}

// call compares one call with the one that it stands for. Of a call of another tool nothing else is compared:
// its arguments are that tool's.
func (d *differ) call(c toolcall.Call, want bfcl.Single) {
	if c.Name != want.Tool() {
		d.faults = append(d.faults, Fault{Kind: FaultTool, Tool: want.Tool(), Want: want.Tool(), Got: c.Name})
		d.part(Missing, wantedCall(want))
		d.part(Wrong, printed(c))
		return
	}
	d.part(Same, c.Name+"(")
	for i, a := range c.Args {
		comma := ""
		if i > 0 {
			comma = ", "
		}
		d.argument(c.Name, comma, a, want)
	}
	for _, a := range want.Args() {
		if _, given := c.Arg(a.Name); given || a.Optional {
			continue
		}
		comma := ""
		if len(c.Args) > 0 {
			comma = ", "
		}
		text := accepted(a)
		d.faults = append(d.faults, Fault{Kind: FaultMissingParameter, Tool: c.Name, Param: a.Name, Want: text})
		d.part(Missing, comma+a.Name+"="+text)
	}
	d.part(Same, ")")
}

func (d *differ) argument(tool, comma string, a toolcall.Arg, want bfcl.Single) {
	f := Fault{Tool: tool, Param: a.Name, Got: a.Value.String()}
	switch {
	case !want.Takes(a.Name):
		f.Kind = FaultExtraParameter
		d.part(Wrong, comma+a.Name+"="+f.Got)
	case !want.Fits(a):
		f.Kind = FaultValue
		for _, w := range want.Args() {
			if w.Name == a.Name {
				f.Want = accepted(w)
			}
		}
		d.part(Same, comma+a.Name+"=")
		d.part(Missing, f.Want)
		d.part(Wrong, f.Got)
	default:
		d.part(Same, comma+a.Name+"="+f.Got)
		return
	}
	d.faults = append(d.faults, f)
}

func printed(c toolcall.Call) string {
	text := toolcall.Print([]toolcall.Call{c})
	return text[1 : len(text)-1]
}

// wantedCall prints a wanted call with its accepted values; arguments that may be left out are not among them.
func wantedCall(s bfcl.Single) string {
	var args []string
	for _, a := range s.Args() {
		if !a.Optional {
			args = append(args, a.Name+"="+accepted(a))
		}
	}
	return s.Tool() + "(" + strings.Join(args, ", ") + ")"
}

// maxAccepted bounds the accepted values that are shown.
const maxAccepted = 4

// accepted prints the values that an argument may have.
func accepted(a bfcl.Accept) string {
	var all []string
	for _, v := range a.Values {
		if a.Optional && v.Kind == toolcall.String && v.Text == "" {
			continue
		}
		if len(all) == maxAccepted {
			return strings.Join(all, " or ") + " or …"
		}
		all = append(all, v.String())
	}
	return strings.Join(all, " or ")
}
