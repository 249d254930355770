package integration

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"itool/integration/rig"
	"itool/ops/courier"
	"itool/schemas"
	"itool/stages/filter"
	"itool/stages/stagetest"
)

// foreignPython finds the Python that `task foreign` sets up, or else python3, and skips the test if it lacks
// one of the modules.
func foreignPython(t *testing.T, modules ...string) string {
	t.Helper()
	python := os.Getenv("ITOOL_FOREIGN")
	if python == "" {
		python = "../.foreign/bin/python"
		if _, err := os.Stat(python); err != nil {
			python = "python3"
		}
	}
	path, err := exec.LookPath(python)
	if err != nil {
		t.Skipf("no Python runs the stages of integration/foreign: %v; `task foreign` sets one up", err)
	}
	if err := exec.Command(path, "-c", "import "+strings.Join(modules, ", ")).Run(); err != nil {
		t.Skipf("%s lacks one of the modules %v: `task foreign` installs them", path, modules)
	}
	if path, err = filepath.Abs(path); err != nil {
		t.Fatal(err)
	}
	return path
}

// wireModules are what integration/foreign/python needs without a trainer.
var wireModules = []string{"nats", "pyarrow", "zstandard"}

// python runs a program of the package itoolwire, or a script after -c, to its end.
func runPython(t *testing.T, python string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), python, args...)
	cmd.Env = append(os.Environ(), "PYTHONPATH="+foreignPackage(t))
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("python: %v\n%s", err, out)
	}
	return string(out)
}

func foreignPackage(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("foreign/python")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// startForeign starts a worker of one stage in Python.
func (k *cluster) startForeign(python, stage string, args ...string) *rig.Process {
	k.t.Helper()
	k.t.Setenv("PYTHONPATH", foreignPackage(k.t))
	args = append([]string{"-m", "itoolwire", stage, "--broker", k.site.Address, "--store",
		"disk:" + filepath.Join(k.site.Dir, "store"), "--cache", k.t.TempDir()}, args...)
	return rig.StartProgram(k.t, k.site.Dir, python, args...)
}

// foreignNode finds the program that runs JavaScript, and skips the test without it or its packages.
func foreignNode(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("node")
	if err != nil {
		t.Skipf("no node runs the filter in JavaScript: %v", err)
	}
	if _, err := os.Stat("foreign/javascript/node_modules"); err != nil {
		t.Skip("the packages of integration/foreign/javascript are not there: `task foreign` installs them")
	}
	return path
}

// TestForeignFilter: filter in another language takes the place of ours, among other workers. The pairs are ours,
// column by column, and so are the bytes of all policies.
func TestForeignFilter(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the whole line three times, about 30 seconds; the full test run does it")
	}
	for _, c := range []struct {
		name  string
		start func(k *cluster)
	}{
		{"python", func(k *cluster) { k.startForeign(foreignPython(k.t, wireModules...), "filter") }},
		{"javascript", func(k *cluster) {
			rig.StartProgram(k.t, ".", foreignNode(k.t), "foreign/javascript/filter.mjs", k.site.Address,
				"disk:"+filepath.Join(k.site.Dir, "store"))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			k := up(t)
			c.start(k)
			undisturbed := inOneProcess(t, oneRound)
			k.publish(oneRound)
			k.work("split", "warmup", "score", "select", "expand", "update", "evaluate")
			k.end()
			ours, theirs := pairsOf(t, undisturbed, ""), pairsOf(t, k.site.Courier, c.name+"-filter/1")
			if diff := cmp.Diff(ours, theirs); diff != "" {
				t.Errorf("the pairs differ (- ours, + in %s):\n%s", c.name, diff)
			}
			if diff := cmp.Diff(policies(t, undisturbed), policies(t, k.site.Courier)); diff != "" {
				t.Errorf("the policies differ (- ours, + with the filter in %s):\n%s", c.name, diff)
			}
		})
	}
}

// TestForeignPublish: a program in Python starts a run with two plain operations, and the run's policies are those
// of a run that itool has published.
func TestForeignPublish(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the whole line twice, about 20 seconds; the full test run does it")
	}
	python := foreignPython(t, wireModules...)
	undisturbed := inOneProcess(t, oneRound)
	k := up(t)
	dataset, base := assets(t)
	args := []string{"-m", "itoolwire", "publish", dataset, "--base", base, "--name", name, "--broker", k.site.Address,
		"--store", "disk:" + filepath.Join(k.site.Dir, "store")}
	args = append(args, settings(oneRound)...)
	const trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	t.Setenv("TRACEPARENT", trace)
	if out := runPython(t, python, args...); !strings.Contains(out, "published run "+name) {
		t.Errorf("it says %q", out)
	}
	if out := runPython(t, python, args...); !strings.Contains(out, "was started before") {
		t.Errorf("a second time it says %q", out)
	}
	k.work("split", "warmup", "score", "select", "expand", "filter", "update", "evaluate")
	k.end()
	if diff := cmp.Diff(policies(t, undisturbed), policies(t, k.site.Courier)); diff != "" {
		t.Errorf("the policies differ (- published by itool, + in Python):\n%s", diff)
	}
	for m, err := range k.site.Broker.List(t.Context(), name, "pair.*.*") {
		if err != nil || m.Header["traceparent"] != trace {
			t.Errorf("%v is in trace %q, want the publisher's; %v", m.Address, m.Header["traceparent"], err)
		}
	}
}

// pairsOf are the pairs of round 0 as pair/v1, by key. worker is who must have written them; "": anybody.
func pairsOf(t *testing.T, c *courier.Courier, worker string) map[string][]schemas.Pair {
	t.Helper()
	keys, err := c.ResultKeys(t.Context(), name, schemas.RecordPair, 0)
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]schemas.Pair{}
	for _, key := range keys {
		rows, h, err := courier.Rows[schemas.Pair](t.Context(), c, name, schemas.RecordPair, 0, key)
		if err != nil {
			t.Fatal(err)
		}
		if worker != "" && h.Worker != worker {
			t.Errorf("pair.0.%s was written by %q, want %q", key, h.Worker, worker)
		}
		out[key] = firstVersion(rows)
	}
	if len(out) == 0 {
		t.Fatal("the run has no pairs: the test proves nothing")
	}
	return out
}

// firstVersion removes what pair/v1 does not have.
func firstVersion(rows []schemas.Pair) []schemas.Pair {
	for i := range rows {
		rows[i].Kind, rows[i].Proven = "", false
	}
	return rows
}

// The two programs read each tree of a folder, with its settings, and write its pairs beside it.
const (
	filterAllPython = `
import json, pathlib, sys
from itoolwire import filter, records
for path in sorted(pathlib.Path(sys.argv[1]).glob("*.tree")):
    case = json.loads(path.with_suffix(".json").read_text())
    tree = records.decode("candidate/v2", "candidate/v2", path.read_bytes(), case["sha256"], case["rows"])
    made = filter.pairs(filter.Tree(tree), filter.settings(case["config"]))
    path.with_suffix(".pairs").write_bytes(records.encode("pair/v1", made))
`
	filterAllJavaScript = `
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { filter } from "./filter.mjs";
import { decode, encode } from "./wire.mjs";
const dir = process.argv[1];
for (const name of readdirSync(dir).filter((n) => n.endsWith(".tree"))) {
  const base = dir + "/" + name.slice(0, -5), note = JSON.parse(readFileSync(base + ".json"));
  const tree = decode("candidate/v2", "candidate/v2", readFileSync(base + ".tree"), note.sha256, note.rows);
  writeFileSync(base + ".pairs", encode("pair/v1", filter.process(tree, note.config)));
}
`
)

// TestForeignFilterOnRandomTrees: the filters in other languages give the rows of ours on trees of every format,
// with every setting.
func TestForeignFilterOnRandomTrees(t *testing.T) {
	dir, want := randomTrees(t, 300)
	t.Run("python", func(t *testing.T) {
		runPython(t, foreignPython(t, "pyarrow", "zstandard"), "-c", filterAllPython, dir)
		samePairs(t, dir, want)
	})
	t.Run("javascript", func(t *testing.T) {
		cmd := exec.CommandContext(t.Context(), foreignNode(t), "--input-type=module", "-e", filterAllJavaScript, dir)
		cmd.Dir = "foreign/javascript"
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("node: %v\n%s", err, out)
		}
		samePairs(t, dir, want)
	})
}

// randomTrees writes trees into a folder and returns our pairs of each.
func randomTrees(t *testing.T, n int) (dir string, want [][]schemas.Pair) {
	t.Helper()
	dir = t.TempDir()
	rng, reasons := rand.New(rand.NewPCG(3, 5)), map[string]int{}
	for i := range n {
		cfg := filter.Default()
		cfg.Mode, cfg.Unfinished = []string{filter.ModeProven, filter.ModePaper}[rng.IntN(2)], rng.IntN(2) == 0
		cfg.MaxTokens, cfg.Similarity = []int{0, 60}[rng.IntN(2)], []float64{0.95, 0.6}[rng.IntN(2)]
		item := stagetest.Item{Config: cfg, Batches: []schemas.Batch{stagetest.Batch(t, "e", randomTree(rng)...)}}
		want = append(want, firstVersion(stagetest.Rows[schemas.Pair](t, filter.New(), item)))
		for _, p := range want[i] {
			reasons[p.Reason]++
		}
		b := item.Batches[0]
		note, err := json.Marshal(map[string]any{"sha256": b.Header.SHA256, "rows": b.Header.Rows, "config": cfg})
		if err != nil {
			t.Fatal(err)
		}
		for ext, data := range map[string][]byte{".tree": b.Body, ".json": note} {
			if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("%04d", i))+ext, data, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	t.Logf("reasons: %v", reasons)
	if len(reasons) < 9 {
		t.Errorf("only the reasons %v: the test shows too little", reasons)
	}
	return dir, want
}

// samePairs compares the pairs that a program has written with ours, and removes them.
func samePairs(t *testing.T, dir string, want [][]schemas.Pair) {
	t.Helper()
	for i, w := range want {
		file := filepath.Join(dir, fmt.Sprintf("%04d.pairs", i))
		body, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		b := schemas.Batch{Header: schemas.Header{Schema: "pair/v1", Rows: len(w)}, Body: body}
		got, err := schemas.Decode[schemas.Pair](b)
		if err != nil {
			t.Fatalf("tree %d: %v", i, err)
		}
		if diff := cmp.Diff(w, got); diff != "" {
			t.Fatalf("tree %d (- ours, + theirs):\n%s", i, diff)
		}
	}
}

// randomTree is a tree of answers in one of the formats, cut into fragments at random places. Some answers are
// the same calls written differently, some are broken.
func randomTree(rng *rand.Rand) []schemas.Candidate {
	values := []int{1, 8}[rng.IntN(2)] // with one value, many answers mean the same
	value := func() string {
		return []string{`1`, `1.0`, `"a"`, `"b c"`, `[1, 2]`, `{"k": null}`, `true`, `"é\n"`}[rng.IntN(values)]
	}
	call := func(format int) string {
		a, b := value(), value()
		switch format {
		case 0:
			word := strings.NewReplacer("null", "None", "true", "True")
			a, b = word.Replace(a), word.Replace(b)
			return []string{
				fmt.Sprintf("[f(a=%s, b=%s)]", a, b), fmt.Sprintf("[f(b=%s,a=%s)]", b, a),
				fmt.Sprintf("[Get it (v2)(a=%s), g()]", a), "I cannot do that.", fmt.Sprintf("[f(a=%s, b=)]", a),
			}[rng.IntN(5)]
		case 1:
			return []string{
				fmt.Sprintf("<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": %s, \"b\": %s}}\n</tool_call>",
					a, b),
				fmt.Sprintf("<tool_call>{\"name\":\"f\",\"arguments\":{\"b\":%s,\"a\":%s}}</tool_call>", b, a),
				fmt.Sprintf("<think>x</think>\n<tool_call>{\"name\":\"g\",\"arguments\":{\"b\":%s}}</tool_call>", b),
			}[rng.IntN(3)]
		}
		return []string{
			fmt.Sprintf("{\"name\": \"f\", \"parameters\": {\"a\": %s, \"b\": %s}}", a, b),
			fmt.Sprintf("{\"name\":\"f\",\"parameters\":{\"b\":%s,\"a\":%s}}; {\"name\":\"g\",\"parameters\":{}}",
				b, a),
		}[rng.IntN(2)]
	}
	rows := []schemas.Candidate{{Parent: -1, Tokens: []int32{1, 2, 3}, ExampleID: "e"}}
	add := func(parent int, text string) int {
		ids := []int32{}
		for _, r := range text {
			ids = append(ids, int32(r))
		}
		rows = append(rows, schemas.Candidate{
			Node: int32(len(rows)), Parent: int32(parent), Tokens: ids, Text: text, Visits: 1, ExampleID: "e",
			Q: float64(rng.IntN(9))/4 - 1,
		})
		return len(rows) - 1
	}
	for format, n := rng.IntN(3), 2+rng.IntN(8); n > 0; n-- {
		text, at := call(format), 0
		for text != "" {
			if at > 0 && rows[at].Terminal {
				break
			}
			cut := len(text)
			if rng.IntN(2) > 0 {
				cut = strings.IndexAny(text[1:], " ,()") + 2
			}
			if cut < 2 || cut > len(text) {
				cut = len(text)
			}
			fragment := text[:cut]
			text = text[cut:]
			at = child(rows, at, fragment, rng, add)
		}
		rows[at].Terminal = true
		rows[at].Pass = rng.IntN(2) == 0
	}
	return rows
}

// child is a child of a node with this text: mostly one that is there.
func child(rows []schemas.Candidate, at int, text string, rng *rand.Rand, add func(int, string) int) int {
	for i, r := range rows {
		if int(r.Parent) == at && r.Text == text && rng.IntN(4) > 0 {
			return i
		}
	}
	return add(at, text)
}

// TestForeignRecords: the columns in the Python package are those of the records.
func TestForeignRecords(t *testing.T) {
	readme, err := os.ReadFile("../schemas/README.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("foreign/python/itoolwire/records.py")
	if err != nil {
		t.Fatal(err)
	}
	letters := map[string]string{"utf8": "s", "int32": "i", "int64": "l", "uint64": "u", "float64": "d", "bool": "b",
		"list of int32": "I"}
	column := regexp.MustCompile("(?m)^\\| `([a-z0-9_]+)` \\| ([a-z0-9 ]+) \\|")
	checked := 0
	for _, section := range strings.Split(string(readme), "\n### ")[1:] {
		record, rest, _ := strings.Cut(section, "\n")
		var columns []string
		for _, m := range column.FindAllStringSubmatch(rest, -1) {
			columns = append(columns, m[1]+":"+letters[m[2]])
		}
		_, entry, found := strings.Cut(string(source), `"`+record+`": `)
		if !found {
			continue // no program needs it
		}
		checked++
		entry, _, _ = strings.Cut(entry, ",\n")
		got := strings.Fields(strings.Join(regexp.MustCompile(`"([^"]*)"`).FindAllString(entry, -1), ""))
		if want := strings.Join(columns, " "); strings.ReplaceAll(strings.Join(got, " "), `"`, "") != want {
			t.Errorf("%s: records.py has\n%s\nwant\n%s", record, strings.Join(got, " "), want)
		}
	}
	if checked < 10 {
		t.Errorf("only %d records were compared", checked)
	}
}
