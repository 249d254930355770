package eval

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"itool/ops/dataset"
)

// Folder holds a model's answers as BFCL's result files: for each file of questions NAME_result.json, with a
// line of JSON for each answer. eval.json says what answered, so that no two models share a folder.
type Folder struct {
	path    string
	answers map[string]map[string]Answer // by name and id
	open    map[string]*os.File
}

// Origin says where answers come from.
type Origin struct {
	Model     string `json:"model"`  // for people
	Digest    string `json:"digest"` // of the weights, or the endpoint's address and the model's name there
	MaxTokens int    `json:"max_tokens"`
}

// Name is a name for the folder of its answers.
func (o Origin) Name() string { return dataset.RunName(o.Model) }

const (
	originFile   = "eval.json"
	resultSuffix = "_result.json"
	maxAnswer    = 16 << 20 // bytes of one line
)

// OpenFolder opens a folder of answers to add more, or makes it. A folder of another origin is refused. What
// a crash left of a line is removed.
func OpenFolder(path string, from Origin) (*Folder, error) {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(filepath.Join(path, originFile))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if err := refuseForeign(path); err != nil {
			return nil, err
		}
		data, _ := json.MarshalIndent(from, "", "  ") // strings and a number
		if err := os.WriteFile(filepath.Join(path, originFile), append(data, '\n'), 0o644); err != nil {
			return nil, err
		}
	case err != nil:
		return nil, err
	default:
		var was Origin
		if err := json.Unmarshal(data, &was); err != nil {
			return nil, fmt.Errorf("%s/%s: %w", path, originFile, err)
		}
		if was != from {
			return nil, fmt.Errorf("%s holds the answers of %s (digest %.12s, at most %d tokens), not of %s "+
				"(%.12s, %d): give another folder", path, was.Model, was.Digest, was.MaxTokens,
				from.Model, from.Digest, from.MaxTokens)
		}
	}
	return readFolder(path, true)
}

// refuseForeign refuses a folder with results that we did not write: new answers would mix with them.
func refuseForeign(path string) error {
	found, err := filepath.Glob(filepath.Join(path, "*"+resultSuffix))
	if err == nil && len(found) > 0 {
		err = fmt.Errorf("%s holds %s and no %s: results of another program are judged, not continued; "+
			"give another folder", path, filepath.Base(found[0]), originFile)
	}
	return err
}

// ReadFolder reads the answers of a folder, ours or one that bfcl-eval wrote.
func ReadFolder(path string) (*Folder, error) {
	f, err := readFolder(path, false)
	if err != nil || len(f.answers) > 0 {
		return f, err
	}
	if deeper, err := filepath.Glob(filepath.Join(path, "*", "*"+resultSuffix)); err == nil && len(deeper) > 0 {
		return nil, fmt.Errorf("%s holds no *%s, but folders that do (%s): give one of them", path, resultSuffix,
			deeper[0])
	}
	return nil, fmt.Errorf("%s holds no *%s", path, resultSuffix)
}

// Unanswered is the error of a folder that answers none of the questions of files.
func (d *Folder) Unanswered(files []File) error {
	var asked []string
	for _, f := range files {
		asked = append(asked, f.Name)
	}
	return fmt.Errorf("%s answers none of these questions: its files answer %s, the questions are %s: are both of one "+
		"version of the benchmark?", d.path, shortList(slices.Sorted(maps.Keys(d.answers))), shortList(asked))
}

func shortList(names []string) string {
	if len(names) > 3 {
		return strings.Join(names[:3], ", ") + fmt.Sprintf(" and %d more", len(names)-3)
	}
	return strings.Join(names, ", ")
}

func readFolder(path string, mend bool) (*Folder, error) {
	d := &Folder{path: path, answers: map[string]map[string]Answer{}, open: map[string]*os.File{}}
	found, err := filepath.Glob(filepath.Join(path, "*"+resultSuffix))
	if err != nil {
		return nil, err
	}
	for _, file := range found {
		if err := d.read(file, mend); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
	}
	return d, nil
}

// read reads a result file. mend cuts off a last line that a crash left incomplete.
func (d *Folder) read(path string, mend bool) error {
	f, err := os.OpenFile(path, os.O_RDONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	name := strings.TrimSuffix(filepath.Base(path), resultSuffix)
	answers, whole := map[string]Answer{}, int64(0)
	r := bufio.NewReaderSize(f, 64<<10)
	for n := 1; ; n++ {
		line, err := readLine(r)
		if err != nil && !errors.Is(err, io.EOF) {
			return fmt.Errorf("line %d: %w", n, err)
		}
		if mend && errors.Is(err, io.EOF) && len(line) > 0 {
			if err := os.Truncate(path, whole); err != nil {
				return err
			}
			break
		}
		if len(bytes.TrimSpace(line)) > 0 {
			a, err := readAnswer(line)
			if err != nil {
				return fmt.Errorf("line %d: %w", n, err)
			}
			if _, twice := answers[a.ID]; twice {
				return fmt.Errorf("line %d: id %s stands there twice", n, a.ID)
			}
			answers[a.ID] = a
		}
		if errors.Is(err, io.EOF) {
			break
		}
		whole += int64(len(line))
	}
	d.answers[name] = answers
	return nil
}

// readLine reads a line with its end; a last line without one comes with io.EOF.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		if line = append(line, part...); len(line) > maxAnswer {
			return nil, fmt.Errorf("longer than %d bytes", maxAnswer)
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return line, err
		}
	}
}

func readAnswer(line []byte) (a Answer, err error) {
	// The counts of bfcl-eval are lists where an answer took several requests: they are not read strictly.
	var in struct {
		ID     string          `json:"id"`
		Result any             `json:"result"`
		Prompt json.RawMessage `json:"input_token_count"`
		Tokens json.RawMessage `json:"output_token_count"`
		Cut    bool            `json:"cut"`
		Error  string          `json:"error"`
	}
	if err := json.Unmarshal(line, &in); err != nil {
		return a, err
	}
	if in.ID == "" {
		return a, errors.New(`no "id"`)
	}
	a = Answer{ID: in.ID, Result: in.Result, Cut: in.Cut, Error: in.Error}
	_ = json.Unmarshal(in.Prompt, &a.PromptTokens)
	_ = json.Unmarshal(in.Tokens, &a.Tokens)
	return a, nil
}

// Has tells whether a case of a file is answered.
func (d *Folder) Has(name, id string) bool {
	_, ok := d.answers[name][id]
	return ok
}

// Add appends an answer to the file of the given name.
func (d *Folder) Add(name string, a Answer) error {
	f, err := d.file(name)
	if err != nil {
		return err
	}
	var line bytes.Buffer
	e := json.NewEncoder(&line)
	e.SetEscapeHTML(false) // people read these files
	if err := e.Encode(a); err != nil {
		return err
	}
	if _, err := f.Write(line.Bytes()); err != nil {
		return err
	}
	if d.answers[name] == nil {
		d.answers[name] = map[string]Answer{}
	}
	d.answers[name][a.ID], err = readAnswer(line.Bytes()) // so that a result is what it is when it is read again
	return err
}

// file is the result file of the given name, open to append to it.
func (d *Folder) file(name string) (*os.File, error) {
	if f := d.open[name]; f != nil {
		return f, nil
	}
	f, err := os.OpenFile(filepath.Join(d.path, name+resultSuffix), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err == nil {
		d.open[name] = f
	}
	return f, err
}

// Close closes the files that Add opened.
func (d *Folder) Close() error {
	var errs []error
	for _, f := range d.open {
		errs = append(errs, f.Close())
	}
	clear(d.open)
	return errors.Join(errs...)
}
