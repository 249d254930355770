package integration

import (
	"go/ast"
	"go/parser"
	"go/scanner"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"unicode/utf8"
)

const (
	maxColumns = 120
	tabColumns = 4
)

// vague are the words that CONTRIBUTING.md bans from comments, errors and logs.
var vague = regexp.MustCompile(`(?i)\b(whatever|whoever|nobody|for ever|anew)\b`)

// goFile is one file of the repository that a person writes.
type goFile struct {
	path string // from the top of the repository
	text []byte
}

// goFiles reads all Go files except generated ones.
func goFiles(t *testing.T) (files []goFile) {
	t.Helper()
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := d.Name()
		if d.IsDir() && path != ".." && (strings.HasPrefix(name, ".") || name == "testdata") {
			return filepath.SkipDir
		}
		if d.IsDir() || filepath.Ext(name) != ".go" {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		f, err := parser.ParseFile(token.NewFileSet(), path, text, parser.ParseComments|parser.PackageClauseOnly)
		if err != nil {
			return err
		}
		if !ast.IsGenerated(f) {
			files = append(files, goFile{strings.TrimPrefix(filepath.ToSlash(path), "../"), text})
		}
		return nil
	})
	if err != nil || len(files) == 0 {
		t.Fatalf("%d Go files: %v", len(files), err)
	}
	return files
}

// scan visits the tokens of a file, comments included, with the line on which each begins.
func (f goFile) scan(visit func(line int, tok token.Token, text string)) {
	file := token.NewFileSet().AddFile(f.path, -1, len(f.text))
	var s scanner.Scanner
	s.Init(file, f.text, nil, scanner.ScanComments)
	for {
		at, tok, text := s.Scan()
		if tok == token.EOF {
			return
		}
		visit(file.PositionFor(at, false).Line, tok, text)
	}
}

// TestLineWidth: no line is wider than 120 columns, tests included. Raw strings of several lines
// are exempt, because they are data.
func TestLineWidth(t *testing.T) {
	for _, f := range goFiles(t) {
		raw := map[int]bool{} // lines of raw strings
		f.scan(func(line int, tok token.Token, text string) {
			if n := strings.Count(text, "\n"); tok == token.STRING && n > 0 {
				for i := range n + 1 {
					raw[line+i] = true
				}
			}
		})
		for i, line := range strings.Split(string(f.text), "\n") {
			columns := utf8.RuneCountInString(line) + (tabColumns-1)*strings.Count(line, "\t")
			if columns > maxColumns && !raw[i+1] {
				t.Errorf("%s:%d: %d columns: break the line, the limit is %d", f.path, i+1, columns, maxColumns)
			}
		}
	}
}

// TestPlainWords: comments and strings of the program do not use vague words.
func TestPlainWords(t *testing.T) {
	for _, f := range goFiles(t) {
		if strings.HasSuffix(f.path, "_test.go") {
			continue
		}
		f.scan(func(line int, tok token.Token, text string) {
			if tok != token.COMMENT && tok != token.STRING {
				return
			}
			for i, part := range strings.Split(text, "\n") {
				if word := vague.FindString(part); word != "" {
					t.Errorf("%s:%d: %q: say who or what is meant; see CONTRIBUTING.md, Comments and errors",
						f.path, line+i, word)
				}
			}
		})
	}
}
