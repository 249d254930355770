// Package dataset prepares the files that a user names for a run: it finds the answers of
// BFCL's question files, counts rows, and names the run after a file.
//
//	files, cleanup, err := dataset.WithAnswers([]string{"BFCL_v3_simple.json"})
//	defer cleanup()
//	rows, err := dataset.CountRows(files)
//
// What the rows mean, and what is wrong with them, is the business of stages/split/format
// and of the split stage.
package dataset

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"itool/schemas/toolcall/bfcl"
	"itool/stages/split/format"
)

// RunName makes a name that the broker accepts out of a file's name: its extensions are cut,
// other characters than letters, digits, _ and - become -, and it has 1 to 64 bytes.
func RunName(file string) string {
	base := filepath.Base(file)
	notInName := regexp.MustCompile(`[^A-Za-z0-9_-]+`)
	for _, packed := range []string{".gz", ".zst"} {
		base = strings.TrimSuffix(base, packed)
	}
	name := notInName.ReplaceAllString(strings.TrimSuffix(base, filepath.Ext(base)), "-")
	name = strings.TrimLeft(name, "-") // a name that begins with - would be taken for a flag
	return cmp.Or(name[:min(len(name), 64)], "run")
}

// WithAnswers replaces BFCL question files by files that hold questions and answers, in a
// temporary folder that cleanup removes. The answers are looked for in possible_answer/
// beside the questions; without them it fails, but for categories that have none. Other files
// are returned as they are, also those that cannot be read: publishing them says what is wrong.
func WithAnswers(files []string) (out []string, cleanup func(), err error) {
	dir, err := os.MkdirTemp("", "itool-bfcl-")
	if err != nil {
		return nil, nil, err
	}
	cleanup = func() { os.RemoveAll(dir) }
	for i, file := range files {
		bare, err := bareQuestions(file)
		if err != nil || !bare {
			out = append(out, file)
			continue
		}
		folder := filepath.Join(dir, fmt.Sprint(i)) // files of two folders may have the same name
		if err := os.Mkdir(folder, 0o700); err != nil {
			cleanup()
			return nil, nil, err
		}
		to := filepath.Join(folder, filepath.Base(file))
		if err := join(file, to); err != nil {
			cleanup()
			return nil, nil, err
		}
		out = append(out, to)
	}
	return out, cleanup, nil
}

// bareQuestions tells whether a file is BFCL's questions without the answers that they have.
func bareQuestions(file string) (bool, error) {
	f, err := format.OpenFile(file)
	if err != nil {
		return false, err
	}
	defer f.Close()
	if f.Format != format.BFCL {
		return false, nil
	}
	for raw, err := range f.Rows(context.Background()) {
		if err != nil {
			return false, err
		}
		var row map[string]json.RawMessage
		if json.Unmarshal(raw.Bytes, &row) == nil {
			var id string
			_ = json.Unmarshal(row["id"], &id) // a row without a text as ID is refused when it is read
			return row["ground_truth"] == nil && !bfcl.Unanswered(format.BFCLCategory(id)), nil
		}
	}
	return false, nil
}

// join writes the questions of file with their answers to a new file.
func join(file, to string) error {
	answers := filepath.Join(filepath.Dir(file), "possible_answer", filepath.Base(file))
	a, err := open(answers)
	if err != nil {
		return fmt.Errorf("dataset %s: BFCL questions without answers, and none are in %s: put the answer file there "+
			"(only files of relevance and irrelevance need none)", file, answers)
	}
	defer a.Close()
	q, err := open(file)
	if err != nil {
		return fmt.Errorf("dataset %s: %w", file, err)
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

// open reads the text of a file, packed or not.
func open(name string) (io.ReadCloser, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	text, err := format.Unpack(f)
	if err != nil {
		f.Close()
		return nil, err
	}
	return unpacked{text, f}, nil
}

// unpacked closes the unpacker and then the file.
type unpacked struct {
	io.ReadCloser
	file *os.File
}

func (u unpacked) Close() error { return errors.Join(u.ReadCloser.Close(), u.file.Close()) }

// CountRows counts the rows of all files.
func CountRows(files []string) (total int, err error) {
	for _, name := range files {
		n, err := countFile(name)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		total += n
	}
	return total, nil
}

// RowBytes is the average size of the first n rows of the files.
func RowBytes(files []string, n int) (float64, error) {
	size, rows := 0, 0
	for _, name := range files {
		f, err := format.OpenFile(name)
		if err != nil {
			return 0, fmt.Errorf("%s: %w", name, err)
		}
		for raw, err := range f.Rows(context.Background()) {
			if err != nil || rows == n {
				break
			}
			size, rows = size+len(raw.Bytes), rows+1
		}
		f.Close()
	}
	return float64(size) / float64(max(rows, 1)), nil
}

func countFile(name string) (rows int, err error) {
	f, err := format.OpenRows(name)
	if err != nil {
		return 0, err
	}
	defer f.Close()
	for _, err := range f.Rows(context.Background()) {
		if err != nil {
			return 0, err
		}
		rows++
	}
	return rows, nil
}
