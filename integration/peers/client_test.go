package peers

import (
	"context"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"itool/ops/demo"
	"itool/ops/serve"
	"itool/stages/policy"
)

// TestOpenAIClient: OpenAI's own client works with the server: tool calls, whole and streamed,
// answers to their results, log-probabilities, seeds and refusals.
func TestOpenAIClient(t *testing.T) {
	needs(t, "openai")
	p, err := policy.Open(demo.Base(), policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := serve.New(p, serve.Options{Name: "demo"})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	server := httptest.NewServer(s)
	t.Cleanup(func() { server.Close(); stop(); <-done })
	t.Setenv("OPENAI_BASE_URL", server.URL+"/v1")
	t.Setenv("OPENAI_API_KEY", "k")
	t.Setenv("NO_PROXY", "*")
	type call [2]any // name and arguments
	var saw struct {
		Model, Finish, Answer, Refused string
		Call, Streamed                 call
		Tokens                         int `json:"completion_tokens"`
		Scored                         []*float64
		Seeded                         []string
		Top                            int
	}
	run(t, &saw, "client.py")
	city := saw.Call[1].(map[string]any)["city"]
	if saw.Model != "demo" || saw.Call[0] != "get_weather" || city != "Bazu" || saw.Finish != "tool_calls" ||
		saw.Tokens == 0 {
		t.Errorf("the call: %+v", saw)
	}
	if saw.Streamed[0] != saw.Call[0] || saw.Streamed[1].(map[string]any)["city"] != city {
		t.Errorf("streamed %v, whole %v", saw.Streamed, saw.Call)
	}
	if saw.Answer != "assistant" || saw.Top != 2 || !strings.Contains(saw.Refused, "tool_choice") {
		t.Errorf("answer of %q, %d alternatives, refused with %q", saw.Answer, saw.Top, saw.Refused)
	}
	if len(saw.Seeded) != 2 || saw.Seeded[0] != saw.Seeded[1] {
		t.Errorf("one seed: %q", saw.Seeded)
	}
	scored := saw.Scored[slices.IndexFunc(saw.Scored, func(l *float64) bool { return l != nil }):]
	if len(saw.Scored) < 3 || slices.ContainsFunc(scored, func(l *float64) bool { return l == nil || *l >= 0 }) {
		t.Errorf("log-probabilities: %v", saw.Scored)
	}
}
