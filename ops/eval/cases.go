package eval

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"itool/ops/dataset"
	"itool/schemas"
	"itool/schemas/toolcall"
	"itool/schemas/toolcall/bfcl"
	"itool/schemas/toolcall/bfcl/multiturn"
	"itool/stages/split"
)

// File is a file of questions.
type File struct {
	Name    string         `json:"name"` // without folder and extensions: BFCL_v3_live_simple
	Cases   []Case         `json:"-"`
	Dropped map[string]int `json:"dropped,omitempty"` // rows that ask nothing, by reason; a benchmark has none
	Detail  string         `json:"detail,omitempty"`  // of the first of them: place and cause
	// Protocol says how it is asked and judged, where scores of the same name can differ.
	Protocol string `json:"protocol,omitempty"`

	session multiturn.SessionOptions // of conversations of several turns
}

// Case is one question.
type Case struct {
	ID      string           // the benchmark's, or ROW-TURN; the only one of its name in its file
	Example schemas.Example  // Messages and Tools are asked, Reference or Acceptable is right
	Entry   *multiturn.Entry // a conversation of several turns; nil: one turn
	bank    *bankQuestion    // of API-Bank; nil: none
	// Refused says why it is wrong without being asked: the benchmark's own answer fails its check, so
	// no answer can pass.
	Refused string
}

// Skipped is a part of a benchmark that is not run.
type Skipped struct {
	Name string `json:"name"`
	Why  string `json:"why"`
}

// Options of reading questions.
type Options struct {
	Most        int       // questions of each file, spread evenly over it; 0 = all
	LongContext string    // file with BFCL's texts of long contexts; "": looked for beside its data
	Today       time.Time // for the age of travellers in BFCL's conversations
}

// bfclPrefix begins the names of BFCL's question files.
const bfclPrefix = "BFCL_v3_"

// BFCL finds the question files of a folder of the benchmark; categories chooses some of them, such as
// live_simple, and none means all. Of all, what cannot be run is skipped with its reason.
func (o Options) BFCL(dir string, categories []string) (paths []string, skipped []Skipped, err error) {
	found, err := filepath.Glob(filepath.Join(dir, bfclPrefix+"*.json"))
	if err != nil {
		return nil, nil, err
	}
	if len(found) == 0 {
		return nil, nil, noBFCL(dir)
	}
	var names []string
	for _, path := range found {
		name := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(path), bfclPrefix), ".json")
		names = append(names, name)
		if len(categories) > 0 && !slices.Contains(categories, name) {
			continue
		}
		if multiTurn(name) {
			if err := o.unplayable(dir, name); err != nil && len(categories) > 0 {
				return nil, nil, fmt.Errorf("%s: %w", name, err)
			} else if err != nil {
				skipped = append(skipped, Skipped{name, err.Error()})
				continue
			}
		}
		answers := filepath.Join(dir, "possible_answer", filepath.Base(path))
		switch _, err := os.Stat(answers); {
		case errors.Is(err, fs.ErrNotExist) && !bfcl.Unanswered(name):
			return nil, nil, fmt.Errorf("%s: its answers are missing: %s", path, answers)
		case err != nil && !errors.Is(err, fs.ErrNotExist):
			return nil, nil, err
		default:
			paths = append(paths, path)
		}
	}
	for _, c := range categories {
		if !slices.Contains(names, c) {
			return nil, nil, fmt.Errorf("%s has no category %s; it has %s", dir, c, strings.Join(names, ", "))
		}
	}
	return paths, skipped, nil
}

// noBFCL says what a folder without questions of version 3 holds instead.
func noBFCL(dir string) error {
	const want = "give the folder bfcl_eval/data of the Berkeley Function Calling Leaderboard, version 3 " +
		"(github.com/ShishirPatil/gorilla, or bfcl-eval 2025.8.6 of the Python package index)"
	if other, err := filepath.Glob(filepath.Join(dir, "BFCL_v*_*.json")); err == nil && len(other) > 0 {
		return fmt.Errorf("%s holds another version of the benchmark (%s and %d more files): %s", dir,
			filepath.Base(other[0]), len(other)-1, want)
	}
	return fmt.Errorf("%s holds no %s*.json: %s", dir, bfclPrefix, want)
}

// Load reads files of questions: BFCL's, whose answers stand in possible_answer beside them, or a dataset in
// any format that a run takes, of which every turn to be learnt is a question.
func (o Options) Load(ctx context.Context, paths []string) ([]File, error) {
	joined, cleanup, err := dataset.WithAnswers(paths)
	if err != nil {
		return nil, err
	}
	defer cleanup()
	var files []File
	for i, path := range joined {
		f, err := o.load(ctx, paths[i], path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", paths[i], err)
		}
		if len(f.Cases) == 0 {
			return nil, fmt.Errorf("%s: no row asks a question (%s): %s", paths[i], reasons(f.Dropped), f.Detail)
		}
		if slices.ContainsFunc(files, func(o File) bool { return o.Name == f.Name }) {
			return nil, fmt.Errorf("%s: there are two files of the name %s: rename one", paths[i], f.Name)
		}
		f.Cases = spread(f.Cases, o.Most)
		files = append(files, f)
	}
	return files, nil
}

// load reads one file; joined has its answers in it.
func (o Options) load(ctx context.Context, path, joined string) (File, error) {
	if multiTurn(filepath.Base(path)) {
		return o.conversations(path)
	}
	cfg := split.Default()
	src, err := cfg.Options().OpenFile(joined)
	if err != nil {
		return File{}, err
	}
	defer src.Close()
	f := File{Name: dataset.RunName(path), Dropped: map[string]int{}}
	reader := split.NewReader(filepath.Base(path), cfg, toolcall.Pythonic)
	for raw, err := range src.Rows(ctx) {
		if err != nil {
			return File{}, err
		}
		row := cfg.Options().Parse(raw, src.Format)
		for _, e := range reader.Examples(row) {
			f.add(e, row.ID)
		}
	}
	return f, nil
}

// add adds an example of a row; id is the benchmark's name of the row, or "".
func (f *File) add(e schemas.Example, id string) {
	c := Case{ID: id, Example: e}
	if id == "" {
		c.ID = fmt.Sprintf("%d-%d", e.Row, e.Turn)
	}
	if e.Part == schemas.PartDropped {
		if id == "" {
			f.Dropped[e.Reason]++
			f.Detail = cmp.Or(f.Detail, e.Detail)
			return
		}
		c.Refused = e.Detail
	}
	if id != "" { // judged as the benchmark judges, which knows no reference
		c.Example.Reference, c.Example.Part = "", schemas.PartTest
	}
	c.Example.ID = f.Name + "/" + c.ID
	f.Cases = append(f.Cases, c)
}

// spread takes n of all, evenly; 0 = all.
func spread(all []Case, n int) []Case {
	if n <= 0 || n >= len(all) {
		return all
	}
	out := make([]Case, n)
	for i := range out {
		out[i] = all[i*len(all)/n]
	}
	return out
}

func reasons(dropped map[string]int) string {
	var out []string
	for why, n := range dropped {
		out = append(out, fmt.Sprintf("%d %s", n, why))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}
