package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
)

// TestServe: the verb answers with a model's folder, and an answer in progress is finished
// after SIGINT.
func TestServe(t *testing.T) {
	dir := t.TempDir()
	base := writeBase(t, dir, nil)
	log := filepath.Join(dir, "requests.jsonl")
	c, url := serving(t, dir, "--model", base, "--name", "tiny", "--answer", "300", "--request-log", log)
	request := strings.NewReader(`{"prompt": "abc", "temperature": 0, "max_tokens": 300, "stream": true}`)
	r, err := http.Post(url+"/completions", "application/json", request)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if err := c.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r.Body)
	done := strings.HasSuffix(string(body), "data: [DONE]\n\n")
	if err != nil || !done || strings.Contains(string(body), "stopping") {
		t.Errorf("%v: %s", err, body)
	}
	if err := c.Wait(); err != nil {
		t.Errorf("it ends with %v", err)
	}
	if line, err := os.ReadFile(log); err != nil || !strings.Contains(string(line), `"completion_tokens":`) {
		t.Errorf("the request log: %s, %v", line, err)
	}
}

// serving starts the verb with more flags and returns it with its URL.
func serving(t *testing.T, dir string, args ...string) (c *exec.Cmd, url string) {
	t.Helper()
	c = command(t, dir, append([]string{"serve", "--listen", "127.0.0.1:0"}, args...)...)
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Process.Kill() })
	line, err := bufio.NewReader(out).ReadString('\n')
	url = regexp.MustCompile(`http://\S+`).FindString(line)
	if err != nil || url == "" || !strings.HasPrefix(line, "tiny at ") {
		t.Fatalf("%q, %v", line, err)
	}
	return c, url
}

// TestServeToolsIn: a model whose chat template leaves out tools refuses them with the remedy, and takes them with it.
func TestServeToolsIn(t *testing.T) {
	dir := t.TempDir()
	base := writeBase(t, dir, toolless)
	ask := func(args ...string) (status, prompt int, body string) {
		t.Helper()
		_, url := serving(t, dir, append(args, "--model", base, "--name", "tiny")...)
		r, err := http.Post(url+"/chat/completions", "application/json", strings.NewReader(
			`{"messages": [{"role": "user", "content": "hi"}], "max_tokens": 1, "tools": [{"type": "function", `+
				`"function": {"name": "f", "parameters": {"type": "object", `+
				`"properties": {"a": {"type": "string"}}}}}]}`))
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		data, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		var answer struct {
			Usage struct {
				Prompt int `json:"prompt_tokens"`
			}
		}
		if err := json.Unmarshal(data, &answer); err != nil {
			t.Fatalf("%v: %s", err, data)
		}
		return r.StatusCode, answer.Usage.Prompt, string(data)
	}
	if status, _, body := ask(); status != http.StatusBadRequest || !strings.Contains(body, "--tools-in system") {
		t.Errorf("status %d: %s", status, body)
	}
	// The tools are in the prompt: bytes are tokens here.
	if status, prompt, body := ask("--tools-in", "system"); status != http.StatusOK || prompt < 200 {
		t.Errorf("status %d, a prompt of %d tokens: %s", status, prompt, body)
	}
}

// TestServeRefuses: contradictory or wrong flags are an error.
func TestServeRefuses(t *testing.T) {
	dir := t.TempDir()
	base := writeBase(t, dir, nil)
	empty := filepath.Join(dir, "empty")
	if err := os.Mkdir(empty, 0o755); err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for want, args := range map[string][]string{
		"choose another port": {"--model", base, "--listen", taken.Addr().String()},
		"--adapter " + empty:  {"--model", base, "--adapter", empty},
		"take one of them":    {"some-run", "--model", base},
		"--model MODEL":       {"--adapter", empty},
		"--requests: -1":      {"--requests=-1"},
		"set ITOOL_API_KEY":   {"--listen", "0.0.0.0:0"},
		"--cors app.example":  {"--cors", "app.example"},
		"--request-log":       {"--request-log", dir},
		"--listen":            {"--listen", "nowhere"},
		"needs --model":       {"some-run", "--tools-in", "system"},
		"no such folder":      {"--model", filepath.Join(dir, "typo")},
	} {
		code, _, errs := itool(t, dir, append([]string{"serve"}, args...)...)
		if code == 0 || !strings.Contains(errs, want) {
			t.Errorf("%v: exit code %d, %s; want an error with %q", args, code, errs, want)
		}
	}
}

// TestServeFormat: a run's policy is served in the call format that it was trained in.
func TestServeFormat(t *testing.T) {
	for config, want := range map[string]string{
		`{"split": {"call_format": "llama_json"}, "update": {}}`: "llama_json",
		`{"split": {"call_format": "auto"}}`:                     "auto",
		`{"split": {}}`:                                          "pythonic", // a run from before the setting
	} {
		if got, err := callFormat([]byte(config)); got != want || err != nil {
			t.Errorf("%s: %q, %v, want %q", config, got, err, want)
		}
	}
}

// TestChat: the verb talks with a model; what is typed is answered, and tools come from a file.
func TestChat(t *testing.T) {
	dir := t.TempDir()
	base := writeBase(t, dir, nil)
	tools := filepath.Join(dir, "tools.json")
	if err := os.WriteFile(tools, []byte(`[{"name": "f", "parameters": {}}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	c := command(t, dir, "chat", "--model", base, "--tools", tools, "--temperature", "0", "--answer", "5")
	c.Stdin = strings.NewReader("hello\n/quit\n")
	out, err := c.CombinedOutput()
	shown := string(out)
	if err != nil || !strings.Contains(shown, "base. Type a message") || strings.Count(shown, "\n> ") != 2 ||
		!strings.Contains(shown, "cut off") {
		t.Errorf("%v: %s", err, shown)
	}
	for want, args := range map[string][]string{
		"--tools":        {"--model", base, "--tools", filepath.Join(dir, "none.json")},
		"want a list":    {"--model", base, "--tools", filepath.Join(base, "config.json")},
		"--answer: 0":    {"--answer", "0"},
		"no such folder": {"--model", filepath.Join(dir, "typo")},
	} {
		code, _, errs := itool(t, dir, append([]string{"chat"}, args...)...)
		if code == 0 || !strings.Contains(errs, want) {
			t.Errorf("%v: exit code %d, %s; want an error with %q", args, code, errs, want)
		}
	}
}
