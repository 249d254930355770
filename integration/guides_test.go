package integration

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"itool/integration/rig"
	"itool/ops/config"
)

// guideCommand is a command of a guide's page, with its continued lines joined.
type guideCommand struct{ page, text, needs string }

// needsOf are what a block of commands may need that a test has not: a line of the block says so.
var needsOf = []string{
	"the internet", "a downloaded model", "a downloaded model and benchmark", "a cluster", "a GPU",
	"an engine that runs", "some minutes",
}

// testOf are the tests that run what a page, or a command of any page, describes; longer beginnings first.
var testOf = []struct{ page, command, test string }{
	{"where-wrong.md", "", "TestDemo"}, {"swap-stage.md", "", "TestForeignFilter"},
	{"wire.md", "", "TestForeignPublish"},
	{"judge.md", "", "TestAJudgeOfOnesOwn"}, {"lab.md", "", "TestLab"}, {"scale.md", "", "TestProcesses"},
	{"watch.md", "", "TestUI"},
	{"", "go run ./ops/itool demo --quick", "TestDemo"}, {"", "go install ./ops/itool", "TestVersion"},
	{"", "itool serve", "TestServe"}, {"", "curl", "TestServe"}, {"", "itool chat", "TestChat"},
	{"", "itool deploy-config", "TestDeployConfig"},
}

// elsewhere is the test that runs a command; empty: guides does.
func (c guideCommand) elsewhere() string {
	for _, t := range testOf {
		if (t.page == "" || t.page == c.page) && strings.HasPrefix(c.text, t.command) {
			return t.test
		}
	}
	return ""
}

// guideCommands are all commands of the guide, by page.
func guideCommands(t *testing.T) map[string][]guideCommand {
	t.Helper()
	out := map[string][]guideCommand{}
	files, err := filepath.Glob("../ops/guide/*.md")
	if err != nil || len(files) == 0 {
		t.Fatal(err)
	}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		page := filepath.Base(f)
		for _, block := range shell.FindAllStringSubmatch(string(text), -1) {
			out[page] = append(out[page], blockCommands(page, block[1])...)
		}
	}
	return out
}

// blockCommands are the commands of one block.
func blockCommands(page, block string) (out []guideCommand) {
	needs, open := "", ""
	for line := range strings.Lines(strings.ReplaceAll(block, "\\\n", " ")) {
		line = strings.TrimSuffix(line, "\n")
		if open == "" && strings.Contains(line, " #") {
			line = line[:strings.Index(line, " #")]
		}
		if n, ok := strings.CutPrefix(line, "# needs "); ok {
			needs = n
			continue
		}
		if open += line; strings.Count(open, "'")%2 == 1 { // a quoted text goes on
			open += "\n"
			continue
		}
		if text := strings.TrimSpace(open); text != "" && !strings.HasPrefix(text, "#") {
			out = append(out, guideCommand{page, text, needs})
		}
		open = ""
	}
	return out
}

// TestDocumentedCommandsAreTested: every command of the guide is run by this package's guides, by a named test that
// exists, or says what it needs that a test has not.
func TestDocumentedCommandsAreTested(t *testing.T) {
	tests := map[string]bool{}
	for _, glob := range []string{"*_test.go", "../ops/itool/*_test.go"} {
		files, err := filepath.Glob(glob)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(`(?m)^func (Test\w+)\(`).FindAllStringSubmatch(string(text), -1) {
				tests[m[1]] = true
			}
		}
	}
	for page, commands := range guideCommands(t) {
		for _, c := range commands {
			switch test := c.elsewhere(); {
			case c.needs != "" && !slices.Contains(needsOf, c.needs):
				t.Errorf("%s: needs %q: say one of %q, or add it there", page, c.needs, needsOf)
			case c.needs != "":
				t.Logf("%s: not run, needs %s: %s", page, c.needs, c.text)
			case test != "" && !tests[test]:
				t.Errorf("%s: %s: there is no test %s", page, c.text, test)
			}
		}
	}
}

// TestDocumentedPages: every page begins with the time that it takes and stands in the table of README.md, and every
// setting that one names exists.
func TestDocumentedPages(t *testing.T) {
	known := knownSettings()
	setting := regexp.MustCompile("`((?:line|split|warmup|score|select|expand|filter|update|evaluate)\\.[a-z_]+)[`:=]")
	all := pages(t)
	for name, text := range all {
		if _, err := os.Stat(filepath.Join("../ops/guide", name)); err != nil {
			continue
		}
		if lines := strings.SplitN(text, "\n", 4); len(lines) < 4 || !strings.HasPrefix(lines[2], "**Time:** ") {
			t.Errorf("%s does not begin with **Time:** and how long it takes", name)
		}
		if !strings.Contains(all["README.md"], "(ops/guide/"+name+")") {
			t.Errorf("README.md: the table of guides lacks %s", name)
		}
		for _, m := range setting.FindAllStringSubmatch(text, -1) {
			if !known[m[1]] {
				t.Errorf("%s: there is no setting %s", name, m[1])
			}
		}
	}
}

// knownSettings are the names of all settings.
func knownSettings() map[string]bool {
	out := map[string]bool{}
	name := func(f reflect.StructField) string {
		tag, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		return tag
	}
	all := reflect.TypeFor[config.Config]()
	for i := range all.NumField() {
		section := all.Field(i)
		for j := 0; section.Type.Kind() == reflect.Struct && j < section.Type.NumField(); j++ {
			out[name(section)+"."+name(section.Type.Field(j))] = true
		}
	}
	return out
}

// guides runs the commands of the pages as they stand there, each page in a folder of its own, beside the run of the
// quick demo in dir. NAME is that run.
func guides(t *testing.T, dir string) {
	ran := 0
	for page, commands := range guideCommands(t) {
		at := filepath.Join(dir, "guide-"+page)
		if err := os.Mkdir(at, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(filepath.Join(dir, "itool-runs"), filepath.Join(at, "itool-runs")); err != nil {
			t.Fatal(err)
		}
		for _, c := range commands {
			if c.needs != "" || c.elsewhere() != "" {
				continue
			}
			ran++
			start := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
			cmd := exec.CommandContext(ctx, "sh", "-c", strings.ReplaceAll(c.text, "NAME", "demo-quick"))
			cmd.Dir, cmd.Env = at, append(os.Environ(), "PATH="+filepath.Dir(rig.Binary(t))+":"+os.Getenv("PATH"))
			out, err := cmd.CombinedOutput()
			cancel()
			if err != nil {
				t.Errorf("%s: %s: %v\n%s", page, c.text, err, out)
			}
			t.Logf("%s: %s: %.1f s", page, c.text, time.Since(start).Seconds())
		}
	}
	if ran < 15 {
		t.Errorf("only %d commands were run: correct the pattern", ran)
	}
}
