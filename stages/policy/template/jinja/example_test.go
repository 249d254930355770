package jinja_test

import (
	"errors"
	"fmt"

	"itool/stages/policy/template/jinja"
)

// A template is parsed once and rendered with values as they stand in JSON. An error is Python's.
func Example() {
	t, err := jinja.Parse("{% for m in messages %}<{{ m.role }}>{{ m.content | trim }}\n{% endfor %}" +
		"{% if tools %}{{ raise_exception('no tools, please') }}{% endif %}")
	if err != nil {
		fmt.Println(err)
		return
	}
	messages, err := jinja.FromJSON([]byte(`[{"role": "user", "content": " Rain in Bern? "}]`), nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := t.Render(jinja.Vars{"messages": messages}, jinja.Options{})
	fmt.Printf("%q %v\n", text, err)

	_, err = t.Render(jinja.Vars{"messages": messages, "tools": true}, jinja.Options{})
	fmt.Println(err)

	_, err = t.Render(jinja.Vars{"messages": messages}, jinja.Options{Limits: jinja.Limits{Output: 4}})
	fmt.Println(errors.Is(err, jinja.ErrLimit))
	// Output:
	// "<user>Rain in Bern?\n" <nil>
	// line 2: TemplateError: no tools, please
	// true
}
