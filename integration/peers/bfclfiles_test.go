package peers

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"itool/ops/eval"
	"itool/schemas/toolcall/bfcl/bfcltest"
	"itool/schemas/toolcall/bfcl/multiturn"
	"itool/stages/evaluate/converse"
)

var bfclFiles = flag.Int("bfcl.files", 60, "questions of each category that TestBFCLFiles asks")

// TestBFCLFiles: bfcl-eval judges the result files that we write as we do, and leads the same conversations into files
// that we read to the same verdicts.
func TestBFCLFiles(t *testing.T) {
	dir := bfclEval(t)
	version := filepath.Join(dir, "2025.8.6")
	data := filepath.Join(version, "bfcl_eval", "data")
	o := eval.Options{Most: *bfclFiles, Today: time.Now()}
	paths, skipped, err := o.BFCL(data, nil)
	if err != nil || len(skipped) > 0 || len(paths) != 17 {
		t.Fatal(len(paths), skipped, err)
	}
	files, err := o.Load(t.Context(), paths)
	if err != nil {
		t.Fatal(err)
	}
	ours, theirs := filepath.Join(t.TempDir(), "ours"), filepath.Join(t.TempDir(), "theirs")
	answerAll(t, files, ours)
	run := func(in io.Reader, mode, results string) []byte {
		cmd := exec.Command(filepath.Join(dir, "bin", "python"), "bfclfiles.py", mode, results, data)
		cmd.Env = append(os.Environ(), "PYTHONPATH="+version, "PYTHONHASHSEED=0")
		cmd.Stdin, cmd.Stderr = in, os.Stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("bfclfiles.py %s: %v", mode, err)
		}
		return out
	}
	got := judged(t, files, ours)
	compareFiles(t, got, run(nil, "judge", ours))

	run(texts(t, ours), "write", theirs)
	for id, v := range judged(t, files, theirs) {
		if v.result != got[id].result {
			t.Errorf("%s: bfcl-eval writes %.300s, we %.300s", id, v.result, got[id].result)
		}
		if v.pass != got[id].pass || v.name != got[id].name {
			t.Errorf("%s: in bfcl-eval's file %v %s, in ours %v %s", id, v.pass, v.name, got[id].pass, got[id].name)
		}
	}
}

// answerAll writes answers of a random model into a folder.
func answerAll(t *testing.T, files []eval.File, path string) {
	t.Helper()
	questions := map[string]bfcltest.Question{}
	for _, all := range bfcltest.Questions(t) {
		for _, q := range all {
			questions[q.ID] = q
		}
	}
	folder, err := eval.OpenFolder(path, eval.Origin{Model: "random"})
	if err != nil {
		t.Fatal(err)
	}
	for i := range files { // one at a time: conversations are told apart by their first words
		m := reciter{questions, map[string]*multiturn.Entry{}}
		for _, c := range files[i].Cases {
			if c.Entry != nil {
				m.entries[firstWords(c.Entry.Questions[0])] = c.Entry
			}
		}
		one := eval.AtOnce{Questions: 1, Conversations: 1}
		err := eval.Ask(t.Context(), m, files[i:i+1], folder, one, func(eval.Progress) {})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := folder.Close(); err != nil {
		t.Fatal(err)
	}
}

// reciter answers at random, mostly near the right answer.
type reciter struct {
	questions map[string]bfcltest.Question
	entries   map[string]*multiturn.Entry
}

func (m reciter) Answer(_ context.Context, c *eval.Case) (eval.Answer, error) {
	q := []bfcltest.Question{m.questions[c.ID]}
	return eval.Answer{Result: bfcltest.Cases(randomOf(c.ID), q, 1)[0].Raw}, nil
}

// Step makes the right calls of a turn, one a step, but for some that are left out, doubled, changed or not readable.
func (m reciter) Step(_ context.Context, r multiturn.Request) (converse.Answer, error) {
	e := m.entries[firstWords(r.Messages)]
	turn, step := -1, 0
	for _, message := range r.Messages {
		switch message.Role {
		case "user":
			turn, step = turn+1, 0
		case "assistant":
			step++
		}
	}
	if turn >= len(e.Truth) || step >= len(e.Truth[turn]) {
		return converse.Answer{Text: "Done.", Tokens: 1}, nil
	}
	call := "[" + e.Truth[turn][step] + "]"
	random := randomOf(fmt.Sprint(e.ID, turn, step))
	if random.IntN(8) > 0 {
		return converse.Answer{Text: call, Tokens: 1}, nil
	}
	return converse.Answer{Tokens: 1, Text: []string{
		"I do not know.", "[" + call, strings.TrimSuffix(call, "]") + ", " + call[1:], "```\n" + call + "\n```",
		strings.Replace(call, "'", `"`, 1), "[pwd(), " + call[1:], "[]", call + " # done", "[nothing(x=1)]",
	}[random.IntN(9)]}, nil
}

func (reciter) Pythonic(text string) string { return text }

func firstWords(messages []multiturn.Message) string {
	for _, m := range messages {
		if m.Role == "user" {
			return m.Content
		}
	}
	return ""
}

func randomOf(id string) *rand.Rand {
	h := fnv.New64a()
	io.WriteString(h, id)
	return rand.New(rand.NewPCG(*bfclSeed, h.Sum64()))
}

// answered is an answer with our verdict.
type answered struct {
	file, result, name string
	pass               bool
}

func judged(t *testing.T, files []eval.File, path string) map[string]answered {
	t.Helper()
	folder, err := eval.ReadFolder(path)
	if err != nil {
		t.Fatal(err)
	}
	verdicts, missing, err := eval.Judge(files, folder)
	if err != nil || missing > 0 {
		t.Fatal(missing, err)
	}
	all := map[string]answered{}
	for _, v := range verdicts {
		if v.ErrorName == eval.ErrRefused {
			continue // it is not asked
		}
		file, id, _ := strings.Cut(v.ExampleID, "/")
		all[id] = answered{file, v.Answer, v.ErrorName, v.Pass}
	}
	return all
}

// compareFiles compares with bfcl-eval's verdicts, one a line. Conversations are equal; a single answer may be refused
// here and pass there, where later versions of bfcl-eval may read it otherwise.
func compareFiles(t *testing.T, ours map[string]answered, theirs []byte) {
	t.Helper()
	counts := map[string]*[4]int{} // same, stricter, other, passed by both
	seen, passed := 0, 0
	for lines := bufio.NewScanner(bytes.NewReader(theirs)); lines.Scan(); seen++ {
		var their struct {
			File, ID, Error string
			Valid           bool
		}
		if err := json.Unmarshal(lines.Bytes(), &their); err != nil {
			t.Fatal(err)
		}
		our := ours[their.ID]
		if counts[our.file] == nil {
			counts[our.file] = new([4]int)
		}
		turns := strings.Contains(our.file, "multi_turn")
		switch {
		case our.pass == their.Valid && (!turns || our.name == their.Error):
			counts[our.file][0]++
			if our.pass {
				counts[our.file][3]++
				passed++
			}
		case !our.pass && !turns:
			counts[our.file][1]++
		default:
			counts[our.file][2]++
			t.Errorf("%s: %.300s: here %v %s, bfcl-eval has %v %s", their.ID, our.result, our.pass, our.name,
				their.Valid, their.Error)
		}
	}
	if seen != len(ours) || passed < seen/5 || passed > 4*seen/5 {
		t.Errorf("bfcl-eval judged %d of %d answers, and %d pass: want all, and enough of both kinds", seen, len(ours),
			passed)
	}
	for name, c := range counts {
		t.Logf("%-32s same %d, of which pass %d; stricter %d, other %d", name, c[0], c[3], c[1], c[2])
	}
}

// texts are the answers of a folder, as bfclfiles.py wants them.
func texts(t *testing.T, path string) io.Reader {
	t.Helper()
	results, err := filepath.Glob(filepath.Join(path, "*_result.json"))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	for _, name := range results {
		data, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range bytes.Lines(data) {
			var a eval.Answer
			if err := json.Unmarshal(line, &a); err != nil {
				t.Fatal(err)
			}
			if err := enc.Encode(map[string]any{"id": a.ID, "texts": a.Result}); err != nil {
				t.Fatal(err)
			}
		}
	}
	return &out
}
