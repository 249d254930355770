package dataset_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"itool/ops/dataset"
)

const (
	question = `{"id": "simple_0", "question": [[{"role": "user", "content": "Add 1 and 2."}]], ` +
		`"function": [{"name": "add", "description": "", "parameters": {"type": "dict", "properties": ` +
		`{"a": {"type": "integer"}, "b": {"type": "integer"}}, "required": ["a", "b"]}}]}`
	answer = `{"id": "simple_0", "ground_truth": [{"add": {"a": [1], "b": [2]}}]}`
)

func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestWithoutAnswers: BFCL's rows that only ask whether there is a call need no answers.
func TestWithoutAnswers(t *testing.T) {
	file := filepath.Join(t.TempDir(), "BFCL_v3_irrelevance.json")
	write(t, file, `{"id": "irrelevance_0", "question": [[{"role": "user", "content": "hi"}]], "function": []}`)
	files, cleanup, err := dataset.WithAnswers([]string{file})
	if err != nil {
		t.Fatal(err)
	}
	defer cleanup()
	if len(files) != 1 || files[0] != file {
		t.Errorf("got %q, want the file itself", files)
	}
}

// TestWithAnswers: questions get the answers that lie beside them, other files stay, and
// cleanup removes what was made.
func TestWithAnswers(t *testing.T) {
	dir := t.TempDir()
	bfcl, other := filepath.Join(dir, "BFCL_v3_simple.json"), filepath.Join(dir, "rows.jsonl")
	write(t, bfcl, question)
	write(t, other, `{"messages":[{"role":"user","content":"hello"}],"tools":[]}`)
	_, _, err := dataset.WithAnswers([]string{bfcl})
	if err == nil || !strings.Contains(err.Error(), "possible_answer") {
		t.Errorf("without answers: got %v", err)
	}
	write(t, filepath.Join(dir, "possible_answer", filepath.Base(bfcl)), answer)
	files, cleanup, err := dataset.WithAnswers([]string{bfcl, other})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 2 || files[0] == bfcl || filepath.Base(files[0]) != filepath.Base(bfcl) || files[1] != other {
		t.Fatalf("got %q, want another file of the same name and %s itself", files, other)
	}
	text, err := os.ReadFile(files[0])
	if err != nil || !strings.Contains(string(text), "ground_truth") {
		t.Errorf("the joined file: %v\n%s", err, text)
	}
	if n, err := dataset.CountRows(files); n != 2 || err != nil {
		t.Errorf("%d rows, %v, want 2", n, err)
	}
	cleanup()
	if _, err := os.Stat(files[0]); err == nil {
		t.Errorf("cleanup left %s", files[0])
	}
}

func ExampleRunName() {
	fmt.Println(dataset.RunName("data/my rows (v2).jsonl"))
	// Output: my-rows-v2-
}
