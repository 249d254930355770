package template_test

import (
	"fmt"

	"itool/stages/policy/template"
)

// A conversation is rendered up to the point where the assistant's answer begins.
func Example() {
	t, err := template.New(template.Default, template.DefaultBOS, template.DefaultEnd)
	if err != nil {
		fmt.Println(err)
		return
	}
	text, err := t.Render(template.Input{
		Messages: []template.Message{{Role: "user", Content: "Hi"}},
		Prompt:   true,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(text)
	// Output: <|bos|><|user|>Hi<|end|><|assistant|>
}
