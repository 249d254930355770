package serve_test

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"

	"itool/ops/serve"
	"itool/schemas/toolcall"
	"itool/stages/policy/policytest"
)

var weather = []any{
	object{"type": "function", "function": object{"name": "weather", "parameters": object{
		"type": "object", "properties": object{
			"city": object{"enum": []string{"Oslo", "Bergen"}},
			"days": object{"type": "integer", "minimum": 1, "maximum": 7},
		}, "required": []string{"city"},
	}}},
	object{"type": "function", "function": object{"name": "now"}},
}

// TestToolChoice: a model that knows nothing calls when it must, in every format, whole and in a stream.
func TestToolChoice(t *testing.T) {
	p := policytest.Open(t, 1)
	named := object{"type": "function", "function": object{"name": "weather"}}
	for _, f := range []toolcall.Format{toolcall.Pythonic, toolcall.Hermes, toolcall.LlamaJSON} {
		server := start(t, p, serve.Options{Calls: f})
		var wg sync.WaitGroup
		for seed := range 6 {
			for _, choice := range []any{"required", named} {
				wg.Go(func() {
					body := object{
						"messages": []object{{"role": "user", "content": "Hi"}}, "tools": weather,
						"tool_choice": choice, "seed": seed,
						"parallel_tool_calls": seed%2 == 0, "max_tokens": 2000,
					}
					a := ask(t, server, "/v1/chat/completions", body).Choices[0]
					finish := "tool_calls"
					if choice != "required" {
						finish = "stop" // as at OpenAI
					}
					if *a.Finish != finish || a.Message.Content != nil {
						t.Errorf("%s, %v: %s %+v", f, choice, *a.Finish, a.Message)
					}
					checkCalls(t, a.Message.Calls, choice != "required", seed%2 == 0)
					body["stream"] = true
					var streamed []call
					for _, e := range stream(t, server, "/v1/chat/completions", body) {
						streamed = append(streamed, e.Choices[0].Delta.Calls...)
						if e.Choices[0].Delta.Content != "" {
							t.Errorf("%s: words %q in a stream of calls", f, e.Choices[0].Delta.Content)
						}
					}
					if len(streamed) != len(a.Message.Calls) ||
						streamed[0].Function.Arguments != a.Message.Calls[0].Function.Arguments {
						t.Errorf("%s: streamed %+v, whole %+v", f, streamed, a.Message.Calls)
					}
				})
			}
		}
		wg.Wait()
	}
}

func checkCalls(t *testing.T, calls []call, only, many bool) {
	t.Helper()
	if len(calls) == 0 || len(calls) > 1 && (only || !many) {
		t.Errorf("%d calls: %+v", len(calls), calls)
	}
	for _, c := range calls {
		var args struct {
			City *string
			Days *int
		}
		err := json.Unmarshal([]byte(c.Function.Arguments), &args)
		switch {
		case err != nil, only && c.Function.Name != "weather", c.Function.Name == "now" && c.Function.Arguments != "{}":
			t.Errorf("%+v, %v", c, err)
		case c.Function.Name == "weather" && (args.City == nil || *args.City != "Oslo" && *args.City != "Bergen"):
			t.Errorf("%+v: its city", c)
		case args.Days != nil && (*args.Days < 1 || *args.Days > 7):
			t.Errorf("%+v: its days", c)
		}
	}
}

// TestResponseFormat: the answer is JSON of the schema, or any object; with tools it may be a call.
func TestResponseFormat(t *testing.T) {
	server := start(t, policytest.Open(t, 1), serve.Options{Calls: toolcall.Hermes})
	schema := object{"type": "object", "additionalProperties": false, "required": []string{"name", "age"},
		"properties": object{"name": object{"type": "string", "maxLength": 12}, "age": object{"type": "integer"}}}
	format := object{"type": "json_schema", "json_schema": object{"name": "person", "strict": true, "schema": schema}}
	calls, objects := 0, 0
	for seed := range 12 {
		body := object{
			"messages": []object{{"role": "user", "content": "Hi"}}, "response_format": format, "seed": seed,
			"max_tokens": 1000, "stop": []string{"never said"},
		}
		if seed >= 6 {
			body["tools"] = weather
		}
		a := ask(t, server, "/v1/chat/completions", body).Choices[0]
		if len(a.Message.Calls) > 0 {
			checkCalls(t, a.Message.Calls, false, true)
			calls++
			continue
		}
		var person map[string]any
		err := json.Unmarshal([]byte(*a.Message.Content), &person)
		_, named := person["name"].(string)
		_, aged := person["age"].(float64)
		if err != nil || !named || !aged || len(person) != 2 || *a.Finish != "stop" {
			t.Errorf("%s %q, %v", *a.Finish, *a.Message.Content, err)
		}
		objects++
	}
	if objects < 6 || calls == 0 {
		t.Errorf("%d objects, %d calls: the test shows little", objects, calls)
	}
	a := ask(t, server, "/v1/chat/completions", object{
		"messages": []object{{"role": "user", "content": "Hi"}}, "response_format": object{"type": "json_object"},
		"max_tokens": 30, "temperature": 2,
	}).Choices[0]
	if !strings.HasPrefix(*a.Message.Content, "{") || *a.Finish == "stop" && !json.Valid([]byte(*a.Message.Content)) {
		t.Errorf("an object: %s %q", *a.Finish, *a.Message.Content)
	}
}

// TestAmbiguousSchema: a schema that multiplies readings ends its own request with an error, soon.
func TestAmbiguousSchema(t *testing.T) {
	server := start(t, policytest.Open(t, 1), serve.Options{})
	var same []string
	for range 200 {
		same = append(same, `{"type": "array", "minItems": 1, "items": {"$ref": "#"}}`)
	}
	body := `{"messages": [{"role": "user", "content": "Hi"}], "max_tokens": 50, "response_format": {"type": ` +
		`"json_schema", "json_schema": {"name": "x", "schema": {"anyOf": [{"const": 1}, ` +
		strings.Join(same, ",") + `]}}}}`
	status, raw := post(t, server, "/v1/chat/completions", body)
	if status != 400 && status != 200 || status == 400 && !strings.Contains(string(raw), "too many readings") {
		t.Errorf("%d %s", status, raw)
	}
	ask(t, server, "/v1/completions", object{"prompt": "a", "max_tokens": 2})
}
