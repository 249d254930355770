package peers

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"itool/ops/demo"
	"itool/ops/serve"
	"itool/stages/policy"
)

// clients are the folders with OpenAI's clients: py, a virtual environment, and js/node_modules. task clients makes
// them.
func clients() string {
	return cmp.Or(os.Getenv("ITOOL_CLIENTS"), filepath.Join("..", "..", ".clients"))
}

// pythonClient is the command that runs client.py.
func pythonClient(t *testing.T) *exec.Cmd {
	python := filepath.Join(clients(), "py", "bin", "python")
	if _, err := os.Stat(python); err != nil {
		python = "python3"
	}
	if out, err := exec.Command(python, "-c", "import openai").CombinedOutput(); err != nil {
		t.Skipf("Python with openai is missing, task clients installs it: %v %s", err, lastLine(out))
	}
	return exec.Command(python, "client.py")
}

// javascriptClient is the command that runs client.cjs.
func javascriptClient(t *testing.T) *exec.Cmd {
	modules, err := filepath.Abs(filepath.Join(clients(), "js", "node_modules"))
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command("node", "client.cjs")
	c.Env = append(os.Environ(), "NODE_PATH="+modules)
	probe := exec.Command("node", "-e", `require("openai")`)
	probe.Env = c.Env
	if out, err := probe.CombinedOutput(); err != nil {
		t.Skipf("node with openai is missing, task clients installs it: %v %s", err, lastLine(out))
	}
	return c
}

// TestOpenAIClients: OpenAI's own clients work with the server: models, tool calls, whole, streamed and forced, answers
// to their results, JSON of a schema, log-probabilities, 16 requests at once, and refusals.
func TestOpenAIClients(t *testing.T) {
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
	t.Run("Python", func(t *testing.T) { checkClient(t, pythonClient(t)) })
	t.Run("JavaScript", func(t *testing.T) { checkClient(t, javascriptClient(t)) })
}

// checkClient runs a client and checks what it saw.
func checkClient(t *testing.T, c *exec.Cmd) {
	out, err := c.Output()
	if err != nil {
		var stderr []byte
		if e, ok := err.(*exec.ExitError); ok {
			stderr = e.Stderr
		}
		t.Fatalf("%v: %v\n%s", c.Args, err, stderr)
	}
	var saw map[string]any
	if err := json.Unmarshal(out, &saw); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	called := []any{"get_weather", map[string]any{"city": "Bazu"}}
	for _, want := range []struct {
		what  string
		value any
	}{
		{"model", "demo"}, {"retrieved", true}, {"call", called}, {"finish", "tool_calls"}, {"streamed", called},
		{"streamed_tokens", saw["completion_tokens"]}, {"answer", "assistant"}, {"required", []any{1.0, "tool_calls"}},
		{"named", []any{[]any{"now", map[string]any{}}, "stop"}}, {"parsed", true}, {"top", 2.0}, {"at_once", true},
		{"refused", []any{[]any{"unsupported_parameter", "logit_bias", true}, []any{"model_not_found", "model", true}}},
	} {
		if got := saw[want.what]; !reflect.DeepEqual(got, want.value) {
			t.Errorf("%s: it saw %v, want %v", want.what, got, want.value)
		}
	}
	scored, _ := saw["scored"].([]any)
	wrong := func(l any) bool { logp, ok := l.(float64); return !ok || logp >= 0 }
	if len(scored) < 3 || scored[0] != nil || slices.ContainsFunc(scored[1:], wrong) {
		t.Errorf("log-probabilities: %v", scored)
	}
}
