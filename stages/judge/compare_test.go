package judge_test

import (
	"fmt"
	"strings"
	"testing"

	"itool/schemas"
	"itool/stages/judge"
)

const compareTools = `[
	{"name":"weather","parameters":{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"},
		"unit":{"type":"string"}},"required":["city"]}},
	{"name":"book","parameters":{"type":"object","properties":{"seats":{"type":"integer"}},"required":["seats"]}}]`

// word is git's word diff: what is missing in [-…-], what is wrong in {+…+}.
func word(parts []judge.Part) string {
	var b strings.Builder
	for _, p := range parts {
		switch p.Mark {
		case judge.Missing:
			b.WriteString("[-" + p.Text + "-]")
		case judge.Wrong:
			b.WriteString("{+" + p.Text + "+}")
		default:
			b.WriteString(p.Text)
		}
	}
	return b.String()
}

// TestCompare: every kind of fault is named with its place, and marked in the answer.
func TestCompare(t *testing.T) {
	one := schemas.Example{Tools: compareTools, Reference: "[weather(city='Rome', days=3)]", Calls: 1}
	two := schemas.Example{Tools: compareTools, Reference: "[weather(city='Rome'), book(seats=2)]", Calls: 2}
	prose := schemas.Example{Tools: compareTools, Reference: "I cannot do that."}
	bench := schemas.Example{
		Tools: compareTools, Reference: "[weather(city='CA')]", Calls: 1, Category: "multiple",
		Acceptable: `[{"weather": {"city": ["CA", "California"], "days": [1, ""]}}]`,
	}
	for _, c := range []struct {
		name   string
		ex     schemas.Example
		answer string
		cut    bool
		faults string
		word   string
	}{
		{"right", one, "[weather(days=3, city='Rome')]", false, "", "[weather(days=3, city='Rome')]"},
		{
			"a value", one, "[weather(city='Paris', days=3)]", false, "value weather.city 'Rome' → 'Paris'",
			"[weather(city=[-'Rome'-]{+'Paris'+}, days=3)]",
		},
		{
			"a missing and an extra parameter", one, "[weather(city='Rome', unit='C')]", false,
			"extra parameter weather.unit  → 'C'; missing parameter weather.days 3 → ",
			"[weather(city='Rome'{+, unit='C'+}[-, days=3-])]",
		},
		{
			"another tool", one, "[book(seats=1)]", false, "tool weather. weather → book",
			"[[-weather(city='Rome', days=3)-]{+book(seats=1)+}]",
		},
		{
			"calls in another order, one missing", two, "[book(seats=2)]", false,
			"missing call weather. weather(city='Rome') → ", "[book(seats=2)[-, weather(city='Rome')-]]",
		},
		{
			"a call too many", two, "[weather(city='Rome'), book(seats=2), book(seats=3)]", false,
			"extra call book.  → book(seats=3)", "[weather(city='Rome'), book(seats=2){+, book(seats=3)+}]",
		},
		{
			"words for a call", one, "I cannot do that.", false, "no call weather.  → ",
			"[-[weather(city='Rome', days=3)]-]{+I cannot do that.+}",
		},
		{
			"cut", one, "[weather(city='Ro", true, "unreadable weather.  → ; cut .  → ",
			"[-[weather(city='Rome', days=3)]-]{+[weather(city='Ro+}",
		},
		{
			"a call for words", prose, "[book(seats=1)]", false, "extra call book.  → book(seats=1)",
			"{+[book(seats=1)]+}",
		},
		{
			"accepted values", bench, "[weather(city='Nevada')]", false,
			"value weather.city 'CA' or 'California' → 'Nevada'",
			"[weather(city=[-'CA' or 'California'-]{+'Nevada'+})]",
		},
		{"an accepted value", bench, "[weather(city='california')]", false, "", "[weather(city='california')]"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e, err := judge.NewExaminer(&c.ex)
			if err != nil {
				t.Fatal(err)
			}
			got := e.Compare(c.answer, c.cut)
			var faults []string
			for _, f := range got.Faults {
				faults = append(faults, fmt.Sprintf("%s %s.%s %s → %s", f.Kind, f.Tool, f.Param, f.Want, f.Got))
			}
			if all := strings.Join(faults, "; "); all != c.faults {
				t.Errorf("%s: faults\n%s\nwant\n%s", c.answer, all, c.faults)
			}
			if w := word(got.Parts); w != c.word {
				t.Errorf("%s: marked\n%s\nwant\n%s", c.answer, w, c.word)
			}
			if want := e.Outcome(c.answer, c.cut); got.Result != want || got.Pass != (len(got.Faults) == 0) {
				t.Errorf("%s: %+v, Outcome says %+v", c.answer, got.Result, want)
			}
		})
	}
}

// FuzzCompare: any answer can be compared; it passes if and only if it has no fault, and its parts without the missing
// ones read as what it says.
func FuzzCompare(f *testing.F) {
	for _, s := range []string{
		"", "[weather(city='Rome')]", "[weather(", "no", "[book(seats=[1, {'a': 2}])]", "[f(), f()]",
	} {
		f.Add(s, false)
	}
	ex := schemas.Example{Tools: compareTools, Reference: "[weather(city='Rome'), book(seats=2)]", Calls: 2}
	e, err := judge.NewExaminer(&ex)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, answer string, cut bool) {
		c := e.Compare(answer, cut)
		if c.Pass != (len(c.Faults) == 0) {
			t.Errorf("%q: pass %v with %d faults", answer, c.Pass, len(c.Faults))
		}
		again := e.Compare(answer, cut)
		if word(again.Parts) != word(c.Parts) {
			t.Errorf("%q: two comparisons differ", answer)
		}
	})
}
