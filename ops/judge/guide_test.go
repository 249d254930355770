package judge_test

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"itool/ops/judge"
	"itool/schemas"
	"itool/stages"
)

// TestTheGuidesJudge: the program of the guide, unchanged, as a command and as an endpoint.
func TestTheGuidesJudge(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skipf("no python3 runs the guide's judge: %v", err)
	}
	page, err := os.ReadFile("../guide/judge.md")
	if err != nil {
		t.Fatal(err)
	}
	_, program, found := strings.Cut(string(page), "```python\n")
	program, _, closed := strings.Cut(program, "```\n")
	if !found || !closed {
		t.Fatal("the guide has no Python program")
	}
	file := filepath.Join(t.TempDir(), "judge.py")
	if err := os.WriteFile(file, []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Run("command", func(t *testing.T) { guidesJudge(t, python+" "+file) })
	t.Run("endpoint", func(t *testing.T) {
		port := freePort(t)
		cmd := exec.Command(python, file, port)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
		guidesJudge(t, "http://127.0.0.1:"+port+"/judge")
	})
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

func guidesJudge(t *testing.T, address string) {
	t.Helper()
	j, err := judge.Open(address, judge.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	// An endpoint takes a while to start.
	for deadline := time.Now().Add(time.Minute); ; time.Sleep(20 * time.Millisecond) {
		name, err := j.Name(t.Context())
		if name == "kind 1" {
			break
		}
		if err == nil || time.Now().After(deadline) {
			t.Fatalf("its name is %q, %v", name, err)
		}
	}
	calls := &schemas.Example{ID: "a", Reference: `[f(from="Rome", n=200), g()]`, Messages: "[]", Tools: "[]", Calls: 2}
	words := &schemas.Example{ID: "b", Reference: "I cannot.", Messages: "[]", Tools: "[]"}
	cases := []struct {
		ex     *schemas.Example
		answer string
		want   stages.Outcome
	}{
		{calls, `[g(), f(n=201, from="rome ")]`, stages.Outcome{Pass: true, Score: 1, Reason: "2 of 2 calls"}},
		{calls, `[g(), f(n=205, from="rome")]`, stages.Outcome{Score: 0, Reason: "1 of 2 calls"}},
		{calls, `[h()]`, stages.Outcome{Score: -1, Reason: "0 of 2 calls"}},
		{words, "I cannot do that.", stages.Outcome{Pass: true, Score: 1}},
		{words, `<tool_call>{"name": "f", "arguments": {}}</tool_call>`,
			stages.Outcome{Score: -1, Reason: "no call is wanted"}},
	}
	var questions []stages.Question
	for _, c := range cases {
		questions = append(questions, stages.Question{Example: c.ex, Answer: c.answer})
	}
	for _, junk := range []string{"", "I cannot.", "[f(", "\x00\xff", "[f(x)]", strings.Repeat("(", 500)} {
		questions = append(questions, stages.Question{Example: calls, Answer: junk})
	}
	got, err := j.Judge(t.Context(), "kind 1", questions)
	if err != nil {
		t.Fatal(err)
	}
	for i, o := range got {
		if i < len(cases) && o != cases[i].want {
			t.Errorf("%q: got %+v, want %+v", cases[i].answer, o, cases[i].want)
		} else if i >= len(cases) && (o.Pass || o.Score != -1) {
			t.Errorf("%q: got %+v, want it to fail", questions[i].Answer, o)
		}
	}
}
