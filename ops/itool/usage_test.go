package main

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/alecthomas/kong"
)

// here runs one command in this process. It is for commands that end at once.
func here(t *testing.T, args ...string) (code int, out, errs string) {
	t.Helper()
	dir := t.TempDir()
	var files [2]*os.File
	for i := range files {
		f, err := os.Create(filepath.Join(dir, []string{"out", "errs"}[i]))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files[i] = f
	}
	code = realMain(args, files[0], files[1])
	var texts [2]string
	for i, f := range files {
		text, err := os.ReadFile(f.Name())
		if err != nil {
			t.Fatal(err)
		}
		texts[i] = string(text)
	}
	return code, texts[0], texts[1]
}

// TestWrongUsage: every message says where, what and what to do, and names the help of its verb; the exit code says
// of what kind it is. No file is changed.
func TestWrongUsage(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, name := range []string{"ITOOL_BROKER", "ITOOL_STORE", "ITOOL_KERNELS", "ITOOL_DEVICE"} {
		t.Setenv(name, "")
	}
	for name, text := range map[string]string{
		"there.txt": "hello", "rows.jsonl": `{"a":1}` + "\n", "itool.yaml": "expand:\n  widht: 3\n",
		"mine/adapter/weights": "of another program", "empty.jsonl": "", "folder/notes.txt": "no model",
		"list.yaml": "- a\n", "flat.yaml": "line: 3\n",
		"twice.yaml": "line:\n  rounds: 2\n  rounds: 3\n", "tab.yaml": "line:\n\trounds: 2\n",
		"itool-runs/r1/broker/jetstream/$G/streams/RUN_r1/meta": "",
	} {
		if err := os.MkdirAll(filepath.Dir(name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		line string
		code int
		want []string // place, cause and remedy
	}{
		// The command line.
		{"runx", exitUsage, []string{"no command runx", `did you mean one of "run", "runs"`, "See itool --help"}},
		{"reprot r1", exitUsage, []string{"no command reprot", `"report"`}},
		{"eval --modell x", exitUsage, []string{"--modell", `did you mean "--model"`, "See itool eval --help"}},
		{"run rows.jsonl --rounds 3", exitUsage, []string{"--rounds", "it is a setting", "line.rounds=3", "--help"}},
		{"run rows.jsonl --rounds=3", exitUsage, []string{"--set line.rounds=3"}},
		{"run rows.jsonl --learning-rate 1e-4", exitUsage, []string{"update.rate=1e-4 or --set warmup.rate=1e-4"}},
		{"publish rows.jsonl --lora-rank 8", exitUsage, []string{"--set update.rank=8 or --set warmup.rank=8"}},
		{"report r1 --rounds 3", exitUsage, []string{"unknown flag --rounds", "See itool report --help"}},
		{"report", exitUsage, []string{"which run? In ./itool-runs there are: r1", "See itool report --help"}},
		{"run", exitUsage, []string{"which dataset?", "itool synth", "See itool run --help"}},
		{"export r1", exitUsage, []string{"--out", "See itool export --help"}},
		{"demo --slots -1", exitUsage, []string{"--slots: -1 is below 0", "See itool demo --help"}},
		{"run rows.jsonl --slots=-1", exitUsage, []string{"--slots: -1 is below 0"}},
		{"estimate rows.jsonl --price -0.5", exitUsage, []string{"--price: -0.5 is below 0"}},
		{"estimate rows.jsonl --price nan", exitUsage, []string{"--price"}},
		{"synth -o new.jsonl --rows -5", exitUsage, []string{"--rows: -5 is below 0"}},
		{"examples r1 --limit -1", exitUsage, []string{"--limit: -1 is below 0"}},
		{"watch r1 --patience -5s", exitUsage, []string{"--patience: -5s is below 0"}},
		{"tree r1 --round -2", exitUsage, []string{"--round: -2 is below -1"}},
		{"examples r1 --part tset", exitUsage, []string{"--part", `"test"`, `"tset"`}},
		{"tree r1", exitUsage, []string{"which example?", "itool tree RUN --list"}},
		{"work expnd", exitUsage, []string{`no stage "expnd"`, "expand", "keeper"}},
		{"completion", exitUsage, []string{"<shell> is missing", "itool completion <shell>"}},
		{"completion tcsh", exitUsage, []string{"bash", "fish", `"tcsh"`}},
		{"run rows.jsonl --web nonsense", exitUsage, []string{"--web", `"nonsense"`, "127.0.0.1:8080"}},
		{"--quick demo", exitUsage, []string{"--quick is a flag of demo", "itool demo --quick"}},
		{"demo quick", exitUsage, []string{"unexpected argument quick", "did you mean --quick?"}},
		{"report r1 r2", exitUsage, []string{"unexpected argument r2", "See itool report --help"}},
		{"run rows.jsonl --web 127.0.0.1:99999", exitUsage, []string{"--web", `"127.0.0.1:99999"`, "HOST:PORT"}},
		{"run rows.jsonl --name a/b", exitUsage, []string{"--name", `"a/b"`, "A-Z a-z 0-9 _ -"}},
		{"run rows.jsonl --name ..", exitUsage, []string{"--name", "A-Z a-z 0-9 _ -"}},
		{"run rows.jsonl --name " + strings.Repeat("x", 300), exitUsage, []string{"--name", "300 bytes, at most 128"}},
		{"fork r1 --from-round 0 --name r1", exitUsage, []string{"--name r1 is the run itself", "another name"}},
		{"fork r1 --from-round 0 --name a/b", exitUsage, []string{"--name", `"a/b"`}},
		{"publish rows.jsonl --name a.b", exitUsage, []string{"--name", `"a.b"`}},
		{"up --port 0", exitUsage, []string{"--port 0", "1..65535"}},
		// Settings.
		{"run rows.jsonl --set line.round=3", exitError, []string{"--set line.round=3", "did you mean rounds?"}},
		{"run rows.jsonl --set rounds=3", exitError, []string{"--set rounds=3", "did you mean line.rounds?"}},
		{"run rows.jsonl --set line.rounds", exitError, []string{"--set line.rounds", "section.key=value"}},
		{"run rows.jsonl --set line.rounds=x", exitError, []string{"rounds=x", "text is given, a whole number is"}},
		{"run rows.jsonl --set line.rounds=-1", exitError, []string{"--set line.rounds=-1", "below 0"}},
		{"run rows.jsonl --config itool.yaml", exitError, []string{"itool.yaml:2", "expand.widht", "you mean width?"}},
		{"run rows.jsonl --set line.rounds=2.5", exitError, []string{"the number 2.5 is given, a whole number"}},
		{"run rows.jsonl --set line=3", exitError, []string{"line is a section", "set one of its keys"}},
		{"run rows.jsonl --set seed=-1", exitError, []string{"--set seed=-1", "a whole number, 0 or more, is needed"}},
		{"run rows.jsonl --set update.rate=[1,2]", exitError, []string{"a list is given, a number is needed"}},
		{"run rows.jsonl --set update.rate=.nan", exitError, []string{"update.rate", "a number is needed, not NaN"}},
		{"run rows.jsonl --set split.test_files=x", exitError, []string{"text is given, a list such as [a, b]"}},
		{"run rows.jsonl --set filter.unfinished=maybe", exitError, []string{"true or false is needed"}},
		{"run rows.jsonl --set split.test_share=2", exitError, []string{"2 is not within 0..1"}},
		{"run rows.jsonl --config list.yaml", exitError, []string{"list.yaml:1", "needs settings", "key: value"}},
		{"run rows.jsonl --config twice.yaml", exitError, []string{"twice.yaml", `"rounds" already defined`}},
		{"run rows.jsonl --config flat.yaml", exitError, []string{"flat.yaml:1", "line needs settings below it"}},
		{"run rows.jsonl --config tab.yaml", exitError, []string{"tab.yaml", "[2:1]", "cannot start any token"}},
		{"run rows.jsonl --config none.yaml", exitUsage, []string{"--config", "none.yaml", "no such file", "check"}},
		{"run rows.jsonl --config folder", exitUsage, []string{"--config", "folder", "is a folder: name a file"}},
		// Files and models.
		{"run folder", exitError, []string{"folder", "it is a folder: name the files in it"}},
		{"run empty.jsonl", exitError, []string{"empty.jsonl", "the file is empty", "at least one row"}},
		{"run rows.jsonl:0", exitUsage, []string{"rows.jsonl:0", "a weight is above 0"}},
		{"demo --dir mine", exitError, []string{"mine/adapter is there already", "give --dir a new folder"}},
		{"run rows.jsonl --dir there.txt", exitUsage, []string{"there.txt is a file: give a folder"}},
		{"run rows.jsonl --base folder", exitError, []string{"--base folder", "lacks config.json", "hf download"}},
		{"run rows.jsonl --judge nosuchprogram", exitError, []string{"--judge: nosuchprogram", "not found"}},
		{"run rows.jsonl --engine foo", exitUsage, []string{"--engine", `"foo"`, "http://127.0.0.1:8000"}},
		{"run rows.jsonl --engine http://127.0.0.1:1", exitError, []string{"127.0.0.1:1", "is the server running?"}},
		{"run nosuch.jsonl", exitUsage, []string{"nosuch.jsonl", "no such file", "check the path", "run --help"}},
		{"data rows.jsonl", exitError, []string{"rows.jsonl", "unknown rows with the fields a", "split.columns"}},
		{"data there.txt", exitError, []string{"there.txt", "begins with 'h'", "JSON"}},
		{"run rows.jsonl --base org/model", exitUsage, []string{"org/model", "downloads nothing", "hf download"}},
		{"run rows.jsonl --base nosuch", exitUsage, []string{"--base nosuch", "no such folder, GGUF file or run"}},
		{"run rows.jsonl --device gpu", exitUsage, []string{"--device", `"gpu"`, "cuda:N"}},
		{"run rows.jsonl --kernels mmx", exitUsage, []string{"--kernels", `"mmx"`, ", go"}},
		{"import there.txt --out model", exitError, []string{"there.txt", "no GGUF file", "download failed"}},
		{"lab there.txt", exitError, []string{"there.txt:1", "key: value"}},
		{"lab nosuch.yaml", exitUsage, []string{"nosuch.yaml", "there is no such file: check the path"}},
		{"import folder --out model", exitUsage, []string{"folder", "is a folder: name a file"}},
		{"quantize --model nosuch --out q", exitUsage, []string{"--model nosuch", "no such folder, GGUF file or run"}},
		{"eval --bench nosuch.jsonl --model nosuch", exitError, []string{"nosuch", "no such file"}},
		{"chat --tools rows.jsonl", exitError, []string{"--tools rows.jsonl", "give a JSON array of tools"}},
		{"eval --bench rows.jsonl", exitUsage, []string{"say what answers", "--model", "--endpoint"}},
		{"init --for nosuch", exitUsage, []string{`--for "nosuch"`, "qwen3-4b"}},
		{"quota r1 3", exitUsage, []string{`"3"`, "512MiB"}},
		{"up --dir there.txt", exitUsage, []string{"there.txt is a file", "give a folder"}},
		// Files that are there.
		{"init itool.yaml", exitError, []string{"itool.yaml is there already", "--force"}},
		{"synth -o there.txt", exitError, []string{"there.txt is there already", "--force"}},
		{"report r1 --html there.txt", exitError, []string{"there.txt is there already", "--force"}},
		{"export r1 --pairs --out there.txt", exitError, []string{"there.txt is there already", "--force"}},
		{"examples r1 --suspects --exclusions there.txt", exitError, []string{"there.txt is there already", "--force"}},
		// Runs.
		{"report r2", exitError, []string{"no run named r2", "in ./itool-runs there are: r1", "--dir"}},
		{"report r2 --dir itool-runs", exitError, []string{"no run named r2 in itool-runs", "there are: r1"}},
		{"failed r1 --dir nosuch", exitError, []string{"nosuch holds no run", "itool run"}},
		{"resume r2", exitError, []string{"r2 holds no run", "there are: r1"}},
		{"publish rows.jsonl", exitUsage, []string{"no broker is given", "--dir"}},
		{"runs --broker nats://127.0.0.1:1", exitUsage, []string{"--store is missing", "disk:PATH"}},
		{"runs --broker nats://127.0.0.1:1 --store foo:x", exitUsage, []string{`--store "foo:x"`, "minio://"}},
	} {
		t.Run(c.line, func(t *testing.T) {
			code, out, errs := here(t, strings.Fields(c.line)...)
			if code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			for _, want := range append(c.want, "itool: ", "See itool ") {
				if !strings.Contains(errs, want) {
					t.Errorf("the message lacks %q:\n%s%s", want, out, errs)
				}
			}
			for _, bad := range []string{"panic", "goroutine", "<nil>", "%!"} {
				if strings.Contains(errs, bad) {
					t.Errorf("the message holds %q:\n%s", bad, errs)
				}
			}
		})
	}
	if text, err := os.ReadFile("there.txt"); err != nil || string(text) != "hello" {
		t.Errorf("there.txt is now %q, %v", text, err)
	}
}

func newParser(t *testing.T) *kong.Kong {
	t.Helper()
	var cmds commands
	k, err := newKong(&cmds, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// TestExamplesOfHelp: every command has an example, and each is a command line that is understood. Internal defaults
// are not shown.
func TestExamplesOfHelp(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, file := range []string{
		"train.jsonl", "test.jsonl", "dev.jsonl", "itool.yaml", "model.gguf", "try.yaml", "tools.json",
	} {
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	all := examplesOfCommands()
	for _, verb := range newParser(t).Model.Children {
		if len(all[verb.Name]) == 0 || !strings.Contains(verb.Detail, all[verb.Name][0]) {
			t.Errorf("itool %s --help has no example", verb.Name)
		}
		for _, line := range all[verb.Name] {
			words := strings.Fields(strings.ReplaceAll(line, "'parameter value'", "value"))
			kctx, err := parse(newParser(t), words[1:])
			if err != nil || verbOf(kctx) != verb.Name {
				t.Errorf("%s: %v", line, err)
			}
		}
		for _, f := range verb.Flags {
			if strings.Contains(f.FormatPlaceHolder(), "-2") {
				t.Errorf("itool %s --help shows --%s=%s", verb.Name, f.Name, f.FormatPlaceHolder())
			}
		}
	}
}

// TestStart: without a command itool says how to begin, in lines that are understood and fit 80 columns. Every command
// is in one group of itool --help.
func TestStart(t *testing.T) {
	code, out, errs := here(t)
	if code != 0 || errs != "" || !strings.Contains(out, "itool demo --quick") {
		t.Errorf("exit code %d: %s%s", code, out, errs)
	}
	for line := range strings.Lines(out) {
		if len(strings.TrimSpace(line)) > 80 {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
	grouped := map[string]int{}
	for _, g := range verbGroups() {
		for _, verb := range g.verbs {
			grouped[verb]++
		}
	}
	for _, verb := range newParser(t).Model.Children {
		if grouped[verb.Name] != 1 {
			t.Errorf("%s is in %d groups of verbGroups", verb.Name, grouped[verb.Name])
		}
		delete(grouped, verb.Name)
	}
	if len(grouped) > 0 {
		t.Errorf("verbGroups has what is no command: %v", grouped)
	}
}

// TestComplete: verbs, flags, settings, runs and values are offered where they fit.
func TestComplete(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.MkdirAll("itool-runs/first/broker/jetstream", 0o700); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		words []string
		want  string // all that is offered
	}{
		{[]string{"rep"}, "report"},
		{[]string{"report", ""}, "first"},
		{[]string{"--device", "c"}, "cpu cuda:0"},
		{[]string{"--device", "cpu", "rep"}, "report"},
		{[]string{"report", "first", "--htm"}, "--html"},
		{[]string{"report", "first", ""}, ""},
		{[]string{"report", "--html", ""}, ""}, // a file's name
		{[]string{"run", "--set", "line.ro"}, "line.rounds="},
		{[]string{"work", "split", "sel"}, "select"},
		{[]string{"eval", "--run", ""}, "first"},
		{[]string{"examples", "first", "--part", "t"}, "test train"},
		{[]string{"completion", "z"}, "zsh"},
		{[]string{"__comp"}, ""},
	} {
		var out bytes.Buffer
		complete(&out, newParser(t).Model, c.words)
		if got := strings.Join(strings.Fields(out.String()), " "); got != c.want {
			t.Errorf("%q: %q, want %q", c.words, got, c.want)
		}
	}
}

// askCompletion makes a shell complete "itool run --set line.ro". zsh has no terminal here: what its completion would
// add is printed, with the options that say how.
var askCompletion = map[string]string{
	"bash": "COMP_WORDS=(itool run --set line.ro); COMP_CWORD=3; _itool; echo \"${COMPREPLY[@]}\"\n",
	"zsh":  "words=(itool run --set line.ro); CURRENT=4; compadd() { print -r -- $@ }; _itool\n",
	"fish": "complete -C 'itool run --set line.ro'\n",
}

// TestCompletionScripts: the shells that are here read the scripts, and complete with them.
func TestCompletionScripts(t *testing.T) {
	for shell, script := range map[string]string{"bash": completionBash, "zsh": completionZsh, "fish": completionFish} {
		t.Run(shell, func(t *testing.T) {
			path, err := exec.LookPath(shell)
			if err != nil {
				t.Skipf("no %s here to read the script", shell)
			}
			c := exec.Command(path, "-n")
			c.Stdin = strings.NewReader(script)
			if out, err := c.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
			self := "itool() { ITOOL_TEST_AS_BINARY=1 " + shellQuote(os.Args[0]) + ` "$@"; }` + "\n"
			want := "line.rounds="
			switch shell {
			case "zsh":
				self, want = "compdef() { }\n"+self, "-S -- "+want
			case "fish":
				self = "function itool; ITOOL_TEST_AS_BINARY=1 " + shellQuote(os.Args[0]) + " $argv; end\n"
			}
			c = exec.Command(path, "-c", self+script+askCompletion[shell])
			c.Env = append(os.Environ(), "HOME="+t.TempDir()) // no settings of a user
			out, err := c.CombinedOutput()
			if err != nil || strings.TrimSpace(string(out)) != want {
				t.Errorf("%s completes %q, %v", shell, out, err)
			}
		})
	}
}
