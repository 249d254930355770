package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"itool/ops/report"
	"itool/ops/synth"
	"itool/stages/policy"
	"itool/stages/policy/policytest"
	"itool/stages/policy/tokenizer"
)

// TestMain lets the test binary be itool, so that the tests run whole processes
// without building another one.
func TestMain(m *testing.M) {
	if os.Getenv("ITOOL_TEST_AS_BINARY") == "1" {
		main()
	}
	os.Exit(m.Run())
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func command(t testing.TB, dir string, args ...string) *exec.Cmd {
	t.Helper()
	c := exec.Command(os.Args[0], args...)
	c.Dir = dir
	c.Env = append(os.Environ(), "ITOOL_TEST_AS_BINARY=1", "ITOOL_BROKER=", "ITOOL_STORE=", "ITOOL_KERNELS=")
	return c
}

// itool runs one command to its end.
func itool(t testing.TB, dir string, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	c := command(t, dir, args...)
	var out, errs bytes.Buffer
	c.Stdout, c.Stderr = &out, &errs
	err := c.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return c.ProcessState.ExitCode(), out.String(), errs.String()
}

// expect runs one command to its end and checks its exit code and that its output holds a
// text.
func expect(t testing.TB, dir string, code int, want string, args ...string) (stdout, stderr string) {
	t.Helper()
	got, out, errs := itool(t, dir, args...)
	if got != code || !strings.Contains(out+errs, want) {
		t.Errorf("itool %s: exit code %d, want %d and %q\n%s%s", strings.Join(args, " "), got, code, want, out, errs)
	}
	return out, errs
}

// toolless is for writeBase: a chat template that leaves out tools.
func toolless(name string, data []byte) []byte {
	if name != "chat_template.jinja" {
		return data
	}
	return []byte("{{ bos_token }}{% for m in messages %}{{ '<|' + m.role + '|>' + m.content + '<|end|>' }}" +
		"{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}")
}

// writeBase writes a tiny model; change may damage a file.
func writeBase(t testing.TB, dir string, change func(name string, data []byte) []byte) string {
	t.Helper()
	base := filepath.Join(dir, "base")
	tiny := policytest.Tiny(1)
	err := fs.WalkDir(tiny, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(tiny, name)
		if err != nil {
			return err
		}
		if change != nil {
			data = change(name, data)
		}
		if err := os.MkdirAll(base, 0o755); err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(base, name), data, 0o644)
	})
	if err != nil {
		t.Fatal(err)
	}
	return base
}

// writeRows writes a dataset of made conversations, and more lines behind them.
func writeRows(t testing.TB, dir string, rows int, more ...string) string {
	t.Helper()
	file := filepath.Join(dir, "data.jsonl")
	var b bytes.Buffer
	if rows > 0 {
		cfg := synth.Default()
		cfg.Rows = rows
		made, err := synth.Make(cfg)
		if err != nil {
			t.Fatal(err)
		}
		if err := synth.Write(&b, made); err != nil {
			t.Fatal(err)
		}
	}
	for _, line := range more {
		b.WriteString(line + "\n")
	}
	if err := os.WriteFile(file, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return file
}

// small makes a run of the tiny model take a second: its answers are noise, so they
// are cut early and there is nothing to update on.
var small = []string{
	"--set", "split.test_share=0.2", "--set", "warmup.epochs=1", "--set", "warmup.batch_size=8",
	"--set", "line.rounds=1", "--set", "expand.width=2", "--set", "expand.iterations=2",
	"--set", "expand.max_answer_tokens=8",
	"--set", "select.max_tokens=8", "--set", "select.max_trees=3", "--set", "select.judge_examples=2",
	"--set", "update.guard_tokens=8", "--set", "evaluate.max_tokens=8", "--set", "line.evaluate_rows=4",
}

const (
	noAnswer = `{"messages":[{"role":"user","content":"hello"}],"tools":[]}`
	badTools = `{"messages":[{"role":"user","content":"hello"},{"role":"assistant","content":"[f()]"}],"tools":["f"]}`
)

// TestWrongInput: a wrong input gives one clear error, with place and remedy, and leaves
// nothing behind that a later run would trust.
func TestWrongInput(t *testing.T) {
	if testing.Short() {
		t.Skip("runs commands as processes, for half a minute; the full test run does it")
	}
	cases := []struct {
		name  string
		rows  int
		more  []string
		spoil func(name string, data []byte) []byte
		args  []string
		code  int
		want  []string
		began bool // the run was published before the error was found
	}{
		{name: "empty dataset", code: exitError, want: []string{"data.jsonl", "empty", "at least one row"}},
		{
			name: "a tool schema that is no object", rows: 4, more: []string{badTools}, code: exitFailed,
			want: []string{"1 of 5 examples were dropped", "line.max_dropped", "tools"}, began: true,
		},
		{
			name: "truncated safetensors", rows: 4, code: exitError, want: []string{"base model", "model.safetensors"},
			spoil: func(name string, data []byte) []byte {
				if name == "model.safetensors" {
					return data[:len(data)/2]
				}
				return data
			},
		},
		{
			name: "tokenizer of another model", rows: 4, code: exitError, want: []string{"base model", "tokenizer"},
			spoil: func(name string, data []byte) []byte {
				if name != "tokenizer.json" {
					return data
				}
				text := strings.Repeat("the city of Paris and the city of Rome, again and again. ", 50)
				other, err := tokenizer.Train(func(yield func(string) bool) { yield(text) }, 300, []string{"<|other|>"})
				if err != nil {
					panic(err)
				}
				return other
			},
		},
		{
			name: "unknown setting", rows: 4, args: []string{"--config", "itool.yaml"}, code: exitError,
			want: []string{"itool.yaml:2", "expand.widht", "did you mean width"},
		},
		{
			name: "setting out of range", rows: 4, args: []string{"--set", "line.rounds=-1"}, code: exitError,
			want: []string{"--set line.rounds=-1", "below 0"},
		},
		{
			name: "unknown kernel level", rows: 4, args: []string{"--kernels", "mmx"}, code: exitUsage,
			want: []string{"--kernels", "ITOOL_KERNELS", `"mmx"`, ", go"},
		},
		{name: "unknown flag", rows: 4, args: []string{"--sett", "x"}, code: exitUsage, want: []string{"--sett"}},
		{
			name: "a name that no broker accepts", rows: 4, args: []string{"--name", "a b"}, code: exitUsage,
			want: []string{"--name", "A-Z"},
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			file, base := writeRows(t, dir, c.rows, c.more...), writeBase(t, dir, c.spoil)
			settings := filepath.Join(dir, "itool.yaml")
			if err := os.WriteFile(settings, []byte("expand:\n  widht: 3\n"), 0o644); err != nil {
				t.Fatal(err)
			}
			args := append([]string{"run", file, "--base", base, "--dir", filepath.Join(dir, "run")}, small...)
			code, out, errs := itool(t, dir, append(args, c.args...)...)
			if code != c.code {
				t.Errorf("exit code %d, want %d\n%s%s", code, c.code, out, errs)
			}
			for _, w := range c.want {
				if !strings.Contains(errs, w) {
					t.Errorf("the error lacks %q:\n%s", w, errs)
				}
			}
			if exists(filepath.Join(dir, "run")) != c.began {
				t.Errorf("the run's folder is there: %v, want %v", !c.began, c.began)
			}
			if exists(filepath.Join(dir, "run", "adapter")) {
				t.Error("a run that failed left an adapter")
			}
		})
	}
}

// TestKernels: the flag and the variable force a level, and the doctor says so.
func TestKernels(t *testing.T) {
	dir := t.TempDir()
	for _, c := range []struct {
		name string
		env  string
		args []string
		want string
	}{
		{"by flag", "", []string{"doctor", "--kernels", "go"}, "cpu/go (this machine has "},
		{"by variable", "go", []string{"doctor"}, "set by --kernels or ITOOL_KERNELS"},
		{"the flag wins", "mmx", []string{"doctor", "--kernels", "go"}, "cpu/go"},
		{"unknown", "mmx", []string{"doctor"}, "name one of these"},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd := command(t, dir, c.args...)
			cmd.Env = append(cmd.Env, "ITOOL_KERNELS="+c.env)
			out, _ := cmd.Output() // the exit code also says whether this machine is short of memory
			if !strings.Contains(string(out), c.want) {
				t.Errorf("got %q, want %q in it", out, c.want)
			}
		})
	}
}

// TestRun: a whole run counts a row without an answer. The same command again finds it
// done, another configuration under its name is refused, and all commands that read a run
// work on its folder.
func TestRun(t *testing.T) {
	if testing.Short() {
		t.Skip("runs commands as processes, for half a minute; the full test run does it")
	}
	dir := t.TempDir()
	file, base := writeRows(t, dir, 40, noAnswer), writeBase(t, dir, nil)
	run := append([]string{"run", file, "--base", base, "--name", "r1", "--json"}, small...)
	code, out, errs := itool(t, dir, run...)
	if code != 0 {
		t.Fatalf("exit code %d\n%s%s", code, out, errs)
	}
	if !strings.Contains(out, `{"schema":"itool.summary/v1","run":"r1",`) {
		t.Errorf("--json prints %s", out)
	}
	first := summary(t, out)
	if first.Status != "done" || first.Rows.Kept != 40 || first.Rows.Dropped["no_answer"] != 1 {
		t.Errorf("got %+v, want done with 40 rows kept and one dropped as no_answer", first)
	}
	if len(first.Accuracy) != 3 || first.Accuracy["base"].N != 4 {
		t.Errorf("accuracy %+v, want that of base, warm-up and round 1 on 4 rows", first.Accuracy)
	}
	for _, f := range []string{first.Report, filepath.Join(first.AdapterDir, "adapter_model.safetensors")} {
		if !exists(filepath.Join(dir, f)) {
			t.Errorf("%s is missing", f)
		}
	}

	everyPolicyHasTheTemplate(t, filepath.Join(dir, "itool-runs", "r1"), base)

	start := time.Now()
	code, out, errs = itool(t, dir, run...)
	again := summary(t, out)
	if code != 0 || again.Adapter != first.Adapter || again.Seconds["warmup"] != first.Seconds["warmup"] {
		t.Errorf("the second time: exit code %d after %v, got %+v, want the result of the first time\n%s",
			code, time.Since(start), again, errs)
	}
	code, _, errs = itool(t, dir, append(run, "--set", "expand.width=3")...)
	if code != exitError || !strings.Contains(errs, "expand.width was 2, is 3") || !strings.Contains(errs, "--name") {
		t.Errorf("another configuration: exit code %d\n%s", code, errs)
	}

	code, _, errs = itool(t, dir, append(run, "--name", "r2", "--dir", "itool-runs/r1")...)
	if code != exitError || !strings.Contains(errs, "is the folder of run r1") {
		t.Errorf("another run in the same folder: exit code %d\n%s", code, errs)
	}

	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"report", "r1", "--full"}, 0, "exact match on 4 test rows"},
		{[]string{"report", "r1"}, 0, "all tables: itool report r1 --full"},
		{[]string{"report", "r1", "--json"}, 0, `"config_digest"`},
		{[]string{"failed", "r1"}, 0, "nothing failed"},
		{[]string{"failed", "r1", "--json"}, 0, `"failed": []`},
		{[]string{"report", "r1", "--json"}, 0, `"schema": "itool.report/v1"`},
		{[]string{"watch", "r1"}, 0, "run r1: done"},
		{[]string{"cancel", "r1"}, exitError, "run r1 is over (done): nothing was cancelled"},
		{[]string{"runs", "--dir", "itool-runs/r1"}, 0, "r1"},
		{[]string{"tree", "r1", "nosuch"}, exitError, "there are: 0/s"},
		{[]string{"tree", "r1"}, exitUsage, "itool tree RUN --list"},
		{[]string{"tree", "r1", "x", "--mixed"}, exitUsage, "only with --list"},
		{[]string{"tree", "r1", "--list"}, 0, "question"},
		{[]string{"examples", "r1", "--part", "train", "--json"}, 0, `"schema": "itool.examples/v1"`},
		{[]string{"examples", "r1", "nosuch"}, exitError, `no example "nosuch"`},
		{[]string{"examples", "r1", "--wrong", "--to", "7"}, exitError, `no policy "7"; there are: base, warm-up`},
		{[]string{"examples", "r1", "--exclusions", "x"}, exitUsage, "only with --suspects"},
		{[]string{"examples", "r9", "--dir", "itool-runs/r1"}, exitError, "no run named r9; there are: r1"},
		{[]string{"trace", "r1", "warm-up"}, 0, "policy warm-up"},
		{[]string{"trace", "r1", "itool-runs/r1/adapter"}, 0, "policy"},
		{[]string{"trace", "r1", "nosuch"}, exitError, "itool tree r1 --list"},
		{[]string{"report", "r1", "--errors"}, 0, "base → warm-up"},
		{[]string{"export", "r1", "--pairs", "--out", "pairs.jsonl"}, 0, "trained on 0 of them"},
		{[]string{"export", "r1", "--pairs", "--round", "1", "--out", "none.jsonl"}, exitError, "no pairs there"},
		{[]string{"export", "r1", "--ids", "--out", "x"}, exitUsage, "only with --pairs"},
		{[]string{"export", "r1", "--round", "0", "--out", "warm"}, 0, "adapter in warm"},
		{[]string{"export", "r1", "--round", "0", "--out", "warm"}, exitError, "there already"},
		{[]string{"export", "r1", "--out", "whole", "--merged"}, 0, "merged model"},
		{
			[]string{"synth", "--rows", "1", "-o", "nosuch/rows.jsonl"}, exitError,
			"the folder nosuch is not there: make it first",
		},
		{[]string{"report", "r2", "--dir", "itool-runs/r1"}, exitError, "no run named r2; there are: r1"},
		{[]string{"report", "r2"}, exitError, "no run named r2; in ./itool-runs there are: r1"},
		{[]string{"report", "r2", "--dir", "itool-runs"}, exitError, "no run named r2 in itool-runs; there are: r1"},
		{[]string{"report", "r1", "--dir", "itool-runs"}, 0, "run r1 · done"},
		{[]string{"runs"}, 0, "r1                               done"},
		{[]string{"runs", "--json"}, 0, `"dir": "itool-runs/r1"`},
		{[]string{"examples", "r1", "--type", "typo"}, exitError, `type "typo"; there are: `},
		{[]string{"work", "nosuch", "--dir", "itool-runs/r1"}, exitUsage, "expand"},
	} {
		expect(t, dir, c.code, c.want, c.args...)
	}
	_, _, errs = itool(t, dir, "tree", "r1", "nosuch")
	id := errs[strings.Index(errs, "there are: ")+len("there are: "):]
	id, _, _ = strings.Cut(strings.TrimSpace(id), " ")
	if out, _ := expect(t, dir, 0, "#0 root  N ", "tree", "r1", id); !strings.Contains(out, "└ ") {
		t.Errorf("the tree of %s has no branch:\n%s", id, out)
	}
}

// everyPolicyHasTheTemplate checks that the manifest of every checkpoint lists the base's
// template under the hash that every example carries.
func everyPolicyHasTheTemplate(t *testing.T, run, base string) {
	t.Helper()
	p, err := policy.Open(os.DirFS(base), policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	manifests := 0
	err = filepath.WalkDir(run, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Base(filepath.Dir(name)) != "manifests" {
			return err
		}
		manifests++
		raw, err := os.ReadFile(name)
		entry := `{"name":"chat_template.jinja","sha256":"` + p.TemplateHash() + `"`
		if err == nil && !strings.Contains(string(raw), entry) {
			t.Errorf("the template is not in %s:\n%s", name, raw)
		}
		return err
	})
	if err != nil || manifests < 2 {
		t.Errorf("%d manifests, want that of the base and that of the warm-up at least: %v", manifests, err)
	}
}

func summary(t *testing.T, out string) report.Summary {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(out), "\n")
	var s report.Summary
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &s); err != nil {
		t.Fatalf("the last line is no JSON object: %v\n%s", err, out)
	}
	return s
}

// TestPortInUse: up says so, and how to go on.
func TestPortInUse(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	port := l.Addr().(*net.TCPAddr).Port
	code, out, errs := itool(t, t.TempDir(), "up", "--port", strconv.Itoa(port))
	if code != exitError || !strings.Contains(errs, fmt.Sprintf("port %d", port)) || !strings.Contains(errs, "in use") {
		t.Errorf("exit code %d\n%s%s", code, out, errs)
	}
}

// TestProcesses: up, workers and publisher are processes of their own, and each stops on
// SIGTERM.
func TestProcesses(t *testing.T) {
	if testing.Short() {
		t.Skip("runs commands as processes, for half a minute; the full test run does it")
	}
	dir := t.TempDir()
	file, base := writeRows(t, dir, 30), writeBase(t, dir, nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().(*net.TCPAddr).Port
	l.Close()
	up := start(t, dir, "up", "--port", strconv.Itoa(port), "--dir", "up")
	where := []string{"--broker", fmt.Sprintf("nats://127.0.0.1:%d", port), "--store", "disk:up/store"}
	waitFor(t, func() bool { code, _, _ := itool(t, dir, append([]string{"runs"}, where...)...); return code == 0 })
	others := []string{"work", "split", "warmup", "score", "select", "filter", "update", "evaluate"}
	rest := start(t, dir, append(others, where...)...)
	one := start(t, dir, append([]string{"work", "expand"}, where...)...)
	args := append([]string{"publish", file, "--base", base, "--name", "p1"}, append(where, small...)...)
	if code, out, errs := itool(t, dir, args...); code != 0 || !strings.Contains(out, "itool watch p1 --broker") {
		t.Fatalf("publish: exit code %d\n%s%s", code, out, errs)
	}
	if code, out, errs := itool(t, dir, append([]string{"watch", "p1"}, where...)...); code != 0 {
		t.Fatalf("watch: exit code %d\n%s%s", code, out, errs)
	}
	// A run of this place becomes the base of another one.
	t.Setenv("ITOOL_CACHE", filepath.Join(dir, "cache"))
	again := append([]string{"publish", file, "--base", "p1@0", "--name", "p2"}, append(where, small...)...)
	expect(t, dir, 0, "published run p2", again...)
	out, _ := expect(t, dir, 0, "adapter in whole", append([]string{"export", "p1", "--out", "whole"}, where...)...)
	if strings.Contains(out, "goes on") {
		t.Errorf("export of a run that is done says:\n%s", out)
	}
	unfinished(t, dir, file, base, where)
	for _, c := range []*exec.Cmd{rest, one, up} {
		if err := c.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := c.Wait(); err != nil {
			t.Errorf("%s after SIGTERM: %v", c.Args[1], err)
		}
	}
	// The folder of up can be read when nothing runs.
	expect(t, dir, 0, "run p1 · done", "report", "p1", "--dir", "up")
}

// unfinished exports from a run that goes on, and cancels it.
func unfinished(t *testing.T, dir, file, base string, where []string) {
	t.Helper()
	args := append([]string{"publish", file, "--base", base, "--name", "long"}, append(where, small...)...)
	expect(t, dir, 0, "published run long", append(args, "--set", "line.rounds=200")...)
	waitFor(t, func() bool {
		code, _, _ := itool(t, dir, append([]string{"export", "long", "--out", "early"}, where...)...)
		if code != 0 { // there is no adapter yet
			return false
		}
		os.RemoveAll(filepath.Join(dir, "early"))
		return true
	})
	args = append([]string{"export", "long", "--round", "0", "--out", "early"}, where...)
	out, _ := expect(t, dir, 0, "warm-up of run long: adapter in early", args...)
	if !strings.Contains(out, "run long goes on (") || !strings.Contains(out, "its policy of round 0, and later") {
		t.Errorf("export of a run that goes on says:\n%s", out)
	}
	expect(t, dir, 0, "run long is cancelled", append([]string{"cancel", "long"}, where...)...)
	waitFor(t, func() bool {
		_, out, _ := itool(t, dir, append([]string{"cancel", "long"}, where...)...)
		return strings.Contains(out, "run long was cancelled before")
	})
	args = append([]string{"export", "long", "--round", "0", "--out", "late"}, where...)
	expect(t, dir, 0, "run long did not reach its end (cancelled): this is its policy of round 0", args...)
}

// TestInterrupt: SIGINT keeps what was done and says how to resume. The same command then
// reaches the result of an undisturbed run.
func TestInterrupt(t *testing.T) {
	if testing.Short() {
		t.Skip("runs commands as processes, for half a minute; the full test run does it")
	}
	dir := t.TempDir()
	file, base := writeRows(t, dir, 40), writeBase(t, dir, nil)
	args := append([]string{"run", file, "--base", base, "--name", "r1", "--json"}, small...)
	args = append(args, "--set", "line.rounds=0", "--set", "line.evaluate=none",
		"--set", "warmup.epochs=12", "--set", "warmup.checkpoint_steps=5") // long enough to be interrupted
	c := command(t, dir, args...)
	var errs bytes.Buffer
	c.Stderr = &errs
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	// Another process may look at the run while it goes on.
	waitFor(t, func() bool {
		code, out, _ := itool(t, dir, "runs", "--dir", filepath.Join(runsDir, "r1"))
		return code == 0 && strings.Contains(out, "running")
	})
	if err := c.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait()
	code := c.ProcessState.ExitCode()
	if code != exitInterrupted || !strings.Contains(errs.String(), "the same command resumes it") {
		t.Fatalf("exit code %d, want %d and how to resume\n%s", code, exitInterrupted, errs.String())
	}
	code, out, stderr := itool(t, dir, args...)
	if code != 0 || summary(t, out).Status != "done" {
		t.Fatalf("after the interruption: exit code %d\n%s%s", code, out, stderr)
	}
	_, undisturbed, _ := itool(t, dir, append(args, "--dir", "another")...)
	if got, want := summary(t, out).Adapter, summary(t, undisturbed).Adapter; got != want {
		t.Errorf("adapter %s, undisturbed %s", got, want)
	}
}

func start(t testing.TB, dir string, args ...string) *exec.Cmd {
	t.Helper()
	c := command(t, dir, args...)
	var errs bytes.Buffer
	c.Stderr = &errs
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill() // no harm when it has ended
		if t.Failed() {
			t.Logf("%s said:\n%s", strings.Join(args, " "), errs.String())
		}
	})
	return c
}

// waitFor polls another process, which has no channel to wait on.
func waitFor(t testing.TB, ready func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !ready(); {
		if time.Now().After(end) {
			t.Fatal("not ready after 20 s")
		}
		time.Sleep(20 * time.Millisecond)
	}
}
