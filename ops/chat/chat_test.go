package chat_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"itool/ops/chat"
	"itool/ops/demo"
	"itool/ops/serve"
	"itool/stages/policy"
)

// demoServer serves the demo's base, which calls tools of its made-up world.
func demoServer(t *testing.T, o serve.Options) string {
	t.Helper()
	p, err := policy.Open(demo.Base(), policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := serve.New(p, o)
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	server := httptest.NewServer(s)
	t.Cleanup(func() { server.Close(); stop(); <-done })
	return server.URL + "/v1"
}

const tools = `[{"type": "function", "function": {"name": "get_weather", "description": "weather of a day",
	"parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}]`

// talk types lines and returns what is shown.
func talk(t *testing.T, c chat.Chat, lines ...string) string {
	t.Helper()
	var out strings.Builder
	c.In, c.Out = strings.NewReader(strings.Join(lines, "\n")), &out
	c.Temperature = new(float64)
	if err := c.Run(t.Context()); err != nil {
		t.Fatalf("%v after %s", err, out.String())
	}
	return out.String()
}

// TestCall: a call is shown, its result is asked for, and the conversation goes on.
func TestCall(t *testing.T) {
	url := demoServer(t, serve.Options{Key: "k"})
	c := chat.Chat{URL: url, Key: "k", Tools: json.RawMessage(tools), MaxTokens: 40}
	call := `→ get_weather({"city": "Bazu"})` + "\n" + "result of get_weather: "
	shown := talk(t, c, "/help", "", "weather in Bazu", "rain")
	before, after, called := strings.Cut(shown, call)
	if !called || strings.Count(before, "/new forgets") != 2 || strings.TrimSpace(after) == "" {
		t.Errorf("shown:\n%s", shown)
	}
	if again := talk(t, c, "/new", "weather in Bazu", "rain"); !strings.HasSuffix(again, call+after) {
		t.Errorf("in a new conversation:\n%s\nbefore:\n%s", again, shown)
	}
	if quit := talk(t, c, "/quit", "weather in Bazu"); strings.Contains(quit, call) {
		t.Errorf("behind /quit:\n%s", quit)
	}
	// The result may be in a file; one that is not there is asked for again.
	file := filepath.Join(t.TempDir(), "weather.json")
	if err := os.WriteFile(file, []byte(`{"sky": "clear"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	shown = talk(t, c, "weather in Bazu", "@"+file+"x", "@"+file)
	if strings.Count(shown, "result of get_weather: ") < 2 || !strings.Contains(shown, "no such file") {
		t.Errorf("shown:\n%s", shown)
	}
}

// TestRefused: what the server refuses is shown, and the next message is answered.
func TestRefused(t *testing.T) {
	url := demoServer(t, serve.Options{Key: "k"})
	shown := talk(t, chat.Chat{URL: url, Key: "wrong"}, "hello")
	if !strings.Contains(shown, "refused: the API key is missing or wrong") {
		t.Errorf("shown:\n%s", shown)
	}
	shown = talk(t, chat.Chat{URL: url, Key: "k", MaxTokens: 1}, strings.Repeat("x", 20_000), "hello")
	if !strings.Contains(shown, "refused: ") || !strings.Contains(shown, "cut off") {
		t.Errorf("shown:\n%s", shown)
	}
}

// TestCancel: the end of the context ends a chat that waits for a line.
func TestCancel(t *testing.T) {
	in, typed := io.Pipe()
	defer typed.Close()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- (&chat.Chat{URL: "http://127.0.0.1:1/v1", In: in, Out: io.Discard}).Run(ctx) }()
	stop()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("it ends with %v", err)
	}
}
