package judge

import "itool/schemas/toolcall/bfcl"

// severity is what a fault weighs against a unit of the reference. With 2, one wrong value of two
// leaves 0.43, two leave 0.11, and a call of which nothing is right is below −0.4. With 1 a fault in
// a long answer would move O by less than filter's least difference of Q.
const severity = 2

// Strict is O of Eq. 6 at the end of an answer: +1 if it passes, else −1.
func (r Result) Strict() float64 {
	if r.Pass {
		return 1
	}
	return -1
}

// Graded is Outcome together with O of Eq. 6 as partial credit: +1 if the answer passes, else
//
//	O = (K − 2E) / (K + 2E)
//
// where K counts the units of the reference and E those that are wrong, missing or superfluous, as
// [bfcl.Grade] counts them. So −1 < O < 1, and O falls with every fault and rises with every repair.
// An answer that passes Grade and fails the check has E = ½. Neither the order of calls nor that of
// arguments changes O, as far as the check itself does not depend on it.
//
// O is −1 for an answer that does not read as calls, such as prose, for one without a call, with more
// than [bfcl.MaxGraded] calls, or cut at the length limit. It is ±1 if the reference has no call, more
// than MaxGraded, or leaves open which.
func (e *Examiner) Graded(answer string, cut bool) (Result, float64) {
	r, calls := e.outcome(answer, cut)
	if r.Pass || !r.Parsed || len(calls) == 0 {
		return r, r.Strict()
	}
	d, ok := bfcl.Grade(calls, e.tools, e.want, e.rule)
	if !ok {
		return r, r.Strict()
	}
	units, faults := float64(d.Units), severity*max(0.5, float64(d.Faults))
	return r, (units - faults) / (units + faults)
}
