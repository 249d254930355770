package main

import (
	"bufio"
	"io"
	"net/http"
	"os"
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
	c := command(t, dir, "serve", "--model", base, "--listen", "127.0.0.1:0", "--name", "tiny", "--answer", "300")
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Process.Kill() }()
	line, err := bufio.NewReader(out).ReadString('\n')
	url := regexp.MustCompile(`http://\S+`).FindString(line)
	if err != nil || url == "" || !strings.HasPrefix(line, "tiny at ") {
		t.Fatalf("%q, %v", line, err)
	}
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
}

// TestServeRefuses: contradictory or wrong flags are an error.
func TestServeRefuses(t *testing.T) {
	dir := t.TempDir()
	base := writeBase(t, dir, nil)
	empty := filepath.Join(dir, "empty")
	if err := os.Mkdir(empty, 0o755); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		"--adapter " + empty: {"--model", base, "--adapter", empty},
		"take one of them":   {"some-run", "--model", base},
		"--model MODEL":      {"--adapter", empty},
		"--requests: -1":     {"--requests=-1"},
		"--listen":           {"--listen", "nowhere"},
		"no such folder":     {"--model", filepath.Join(dir, "typo")},
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
