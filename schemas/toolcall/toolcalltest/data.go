package toolcalltest

import (
	"bufio"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Open opens third-party test data, which lies beside the repository. Without it the
// test is skipped.
func Open(t testing.TB, name string) *os.File {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			break
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			t.Fatal("no go.mod above the working directory")
		}
		dir = parent
	}
	f, err := os.Open(filepath.Join(dir, "..", "shared", "data", filepath.FromSlash(name)))
	if err != nil {
		t.Skipf("third-party data not present: %s", name)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// Rows decodes a JSON-lines file of the third-party data, or skips the test.
func Rows[T any](t testing.TB, name string) []T {
	t.Helper()
	var all []T
	lines := bufio.NewScanner(Open(t, name))
	lines.Buffer(nil, 1<<24)
	for lines.Scan() {
		var row T
		if err := json.Unmarshal(lines.Bytes(), &row); err != nil {
			t.Fatalf("%s: row %d: %v", name, len(all), err)
		}
		all = append(all, row)
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	return all
}

// ToolACERow is a row of the ToolACE sample.
type ToolACERow struct {
	Tools   json.RawMessage // a JSON array
	Answers []string        // of the assistant, not empty
}

// ToolACE reads the ToolACE sample, or skips the test.
func ToolACE(t testing.TB) []ToolACERow {
	t.Helper()
	raw, err := io.ReadAll(Open(t, "toolace/toolace_97_reconstructed.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all []struct {
		System        string
		Conversations []struct{ From, Value string }
	}
	if err := json.Unmarshal(raw, &all); err != nil {
		t.Fatal(err)
	}
	rows := make([]ToolACERow, len(all))
	for i, row := range all {
		_, tools, found := strings.Cut(row.System, "[{")
		if !found {
			t.Fatalf("row %d: no tools in the system text", i)
		}
		tools = "[{" + tools
		if err := json.NewDecoder(strings.NewReader(tools)).Decode(&rows[i].Tools); err != nil {
			t.Fatalf("row %d: %v", i, err)
		}
		for _, turn := range row.Conversations {
			if turn.From == "assistant" && turn.Value != "" { // two rows lost their answer upstream
				rows[i].Answers = append(rows[i].Answers, turn.Value)
			}
		}
	}
	return rows
}
