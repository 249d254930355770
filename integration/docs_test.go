package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"itool/integration/rig"
)

// pages are the files with commands that users copy.
func pages(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob("../ops/guide/*.md")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]string{}
	for _, f := range append(files, "../README.md", "../ops/runbook.md", "../CONTRIBUTING.md") {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		out[filepath.Base(f)] = string(text)
	}
	return out
}

var (
	shell   = regexp.MustCompile("(?s)```sh\n(.*?)```")
	command = regexp.MustCompile(`(?:^|[;&|(] *|go run \./ops/)itool ([a-z-]+)([^#\n;|)]*)`)
	flag    = regexp.MustCompile(`(?:^| )(--[a-z][a-z-]*)`)
	link    = regexp.MustCompile(`\]\(([^)#:]+)(?:#[^)]*)?\)`)
)

// Every command in the documentation must exist, with every flag that is shown.
func TestDocumentedCommandsExist(t *testing.T) {
	help := map[string]string{}
	seen := 0
	for page, text := range pages(t) {
		for _, block := range shell.FindAllStringSubmatch(text, -1) {
			for _, line := range strings.Split(strings.ReplaceAll(block[1], "\\\n", " "), "\n") {
				for _, c := range command.FindAllStringSubmatch(strings.TrimSpace(line), -1) {
					verb := c[1]
					if _, ok := help[verb]; !ok {
						out, errs, code := rig.Itool(t, t.TempDir(), verb, "--help")
						if code != 0 {
							t.Errorf("%s: itool %s: exit code %d: %s", page, verb, code, errs)
						}
						help[verb] = out
					}
					for _, f := range flag.FindAllStringSubmatch(c[2], -1) {
						if !strings.Contains(help[verb], f[1]) {
							t.Errorf("%s: itool %s has no flag %s: %s", page, verb, f[1], line)
						}
					}
					seen++
				}
			}
		}
	}
	if seen < 10 {
		t.Errorf("only %d commands were found: correct the pattern", seen)
	}
}

// Every link between the pages must lead to a file.
func TestLinks(t *testing.T) {
	for page, text := range pages(t) {
		dir := ".."
		if _, err := os.Stat(filepath.Join("../ops/guide", page)); err == nil {
			dir = "../ops/guide"
		} else if page == "runbook.md" {
			dir = "../ops"
		}
		for _, l := range link.FindAllStringSubmatch(text, -1) {
			if _, err := os.Stat(filepath.Join(dir, l[1])); err != nil {
				t.Errorf("%s: link to %s: %v", page, l[1], err)
			}
		}
	}
}

// The README's first command, in its quick form, does what the README says.
func TestDemo(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the quick demo, half a minute; the full test run does it")
	}
	readme := pages(t)["README.md"]
	for _, c := range []string{"go run ./ops/itool demo", "go test -timeout 20m ./..."} {
		if first, _, _ := strings.Cut(readme, "\n## "); !strings.Contains(first, c) {
			t.Errorf("README.md: the first screen lacks the command %q", c)
		}
	}
	dir := t.TempDir()
	out, errs, code := rig.Itool(t, dir, "demo", "--quick", "--json")
	if code != 0 {
		t.Fatalf("exit code %d\n%s", code, errs)
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	var sum struct {
		Status   string
		Accuracy map[string]struct {
			Mean, Low, High float64
			N               int
		}
		Rows struct {
			Kept    int
			Dropped map[string]int
		}
		Pairs      map[string]map[string]int
		Seconds    map[string]float64
		Adapter    string
		AdapterDir string `json:"adapter_dir"`
		Report     string
	}
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &sum); err != nil {
		t.Fatalf("the last line is not a JSON object: %v\n%s", err, out)
	}
	if sum.Status != "done" || len(sum.Adapter) != 64 || sum.Rows.Kept == 0 || len(sum.Pairs) != 3 {
		t.Errorf("got %+v", sum)
	}
	for _, p := range []string{"base", "warm-up", "round 1", "round 2", "round 3"} {
		if a := sum.Accuracy[p]; a.N == 0 || a.Low > a.Mean || a.Mean > a.High {
			t.Errorf("accuracy of %s: %+v", p, a)
		}
	}
	for round, reasons := range sum.Pairs {
		if reasons["kept"] == 0 {
			t.Errorf("%s kept no pair: %v", round, reasons)
		}
	}
	for _, s := range []string{"split", "warmup", "score", "select", "expand", "filter", "update", "evaluate"} {
		if _, ok := sum.Seconds[s]; !ok {
			t.Errorf("no seconds of %s: %v", s, sum.Seconds)
		}
	}
	for _, f := range []string{
		sum.Report,
		filepath.Join(sum.AdapterDir, "adapter_config.json"),
		filepath.Join(sum.AdapterDir, "adapter_model.safetensors"),
	} {
		if !filepath.IsAbs(f) {
			f = filepath.Join(dir, f)
		}
		if info, err := os.Stat(f); err != nil || info.Size() == 0 {
			t.Errorf("%s: %v", f, err)
		}
	}
	t.Run("where it is wrong", func(t *testing.T) { whereWrong(t, dir) })
	t.Run("guides", func(t *testing.T) { guides(t, dir) })
}
