package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"itool/ops/demo"
	"itool/stages/split/format"
)

// source are the flags that say what a run is made from.
type source struct {
	Datasets []string `arg:"" name:"dataset" type:"existingfile" help:"ToolACE, OpenAI-like or BFCL files (JSON or JSONL). A BFCL question file finds its answers in possible_answer/ beside it."`
	Base     string   `type:"existingdir" placeholder:"DIR" help:"Base model in Hugging Face format: config.json, safetensors, tokenizer.json, chat template. Default: the demo's, which knows a made-up world and is for trying things out."`
	Config   string   `short:"c" type:"existingfile" placeholder:"FILE" help:"Configuration (itool init writes one)."`
	Set      []string `sep:"none" placeholder:"KEY=VALUE" help:"One setting, such as line.rounds=1. Goes before the file. Repeatable."`
	Name     string   `placeholder:"NAME" help:"Name of the run; default: after the dataset."`
}

// base opens the base model's folder.
func (s source) base(a *app) fs.FS {
	if s.Base != "" {
		return os.DirFS(s.Base)
	}
	fmt.Fprintln(a.errs, "itool: no --base: the demo's small model is used; it knows a made-up world, so expect next to nothing of it on real data")
	return demo.Base()
}

// runName is the given name, or the first dataset's.
func (s source) runName() string {
	if s.Name != "" {
		return s.Name
	}
	base := filepath.Base(s.Datasets[0])
	name := notInName.ReplaceAllString(strings.TrimSuffix(base, filepath.Ext(base)), "-")
	return name[:min(len(name), 64)]
}

var notInName = regexp.MustCompile(`[^A-Za-z0-9_-]+`)

// joined replaces BFCL question files by files with their answers, in a temporary
// folder that cleanup removes. Other files stay as they are.
func joined(files []string) (out []string, cleanup func(), err error) {
	dir, err := os.MkdirTemp("", "itool-bfcl-")
	if err != nil {
		return nil, nil, err
	}
	cleanup = func() { os.RemoveAll(dir) }
	for i, file := range files {
		bare, err := bareQuestions(file)
		if err != nil || !bare {
			out = append(out, file) // what is wrong with it, publish says
			continue
		}
		folder := filepath.Join(dir, fmt.Sprint(i))
		if err := os.Mkdir(folder, 0o700); err != nil {
			cleanup()
			return nil, nil, err
		}
		to := filepath.Join(folder, filepath.Base(file))
		if err := joinFile(file, to); err != nil {
			cleanup()
			return nil, nil, err
		}
		out = append(out, to)
	}
	return out, cleanup, nil
}

// bareQuestions tells whether a file is BFCL's questions without answers.
func bareQuestions(file string) (bool, error) {
	f, err := os.Open(file)
	if err != nil {
		return false, err
	}
	defer f.Close()
	head := make([]byte, 64<<10)
	n, err := io.ReadFull(f, head)
	if err != nil && n == 0 {
		return false, err
	}
	kind, err := format.Detect(filepath.Base(file), head[:n])
	if err != nil || kind != format.BFCL {
		return false, err
	}
	line, _, _ := bytes.Cut(bytes.TrimSpace(head[:n]), []byte("\n"))
	var row map[string]json.RawMessage
	if json.Unmarshal(line, &row) != nil { // longer than the head: look at its text
		return !bytes.Contains(line, []byte(`"ground_truth"`)), nil
	}
	return row["ground_truth"] == nil, nil
}

func joinFile(file, to string) error {
	answers := filepath.Join(filepath.Dir(file), "possible_answer", filepath.Base(file))
	a, err := os.Open(answers)
	if err != nil {
		return fmt.Errorf("dataset %s: BFCL questions without answers, and none are in %s: put the answer file there (relevance and irrelevance files have none and cannot be used)", file, answers)
	}
	defer a.Close()
	q, err := os.Open(file)
	if err != nil {
		return err
	}
	defer q.Close()
	f, err := os.Create(to)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	for row, err := range format.JoinBFCL(q, a) {
		if err != nil {
			return fmt.Errorf("dataset %s: %w", file, err)
		}
		w.Write(row.Row)
		w.WriteByte('\n')
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}
