package schemas_test

import (
	"bytes"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"itool/schemas"
)

// `task golden` sets update. The files that it changes go into a commit of their own. Of testdata it writes only
// new files.
var update = flag.Bool("update", false, "write testdata/v*/*.arrow of the current versions and README.md's columns")

// released is a record in the form in which tests use it, without its type.
type released struct {
	schema string
	row    reflect.Type
	encode func(schemas.Header) (schemas.Batch, error) // sample rows
	decode func(schemas.Batch) (rows any, err error)
	sample any // the rows
}

func release[R schemas.Record]() released {
	var zero R
	rows := sample[R]()
	return released{
		schema: zero.Schema(),
		row:    reflect.TypeFor[R](),
		encode: func(h schemas.Header) (schemas.Batch, error) { return schemas.Encode(h, rows) },
		decode: func(b schemas.Batch) (any, error) { return schemas.Decode[R](b) },
		sample: rows,
	}
}

// records are all records. TestRecordsAreComplete compares them with the source.
var records = []released{
	release[schemas.Candidate](),
	release[schemas.End](),
	release[schemas.Example](),
	release[schemas.Failed](),
	release[schemas.Gather](),
	release[schemas.Manifest](),
	release[schemas.Pair](),
	release[schemas.Policy](),
	release[schemas.Progress](),
	release[schemas.Run](),
	release[schemas.Score](),
	release[schemas.Selection](),
	release[schemas.Shard](),
	release[schemas.Verdict](),
}

// sample returns three rows: every field set, every field zero, every field set to another
// value. Each value depends only on the column's name and the row, so that a test notices
// a column that is read from another column's bytes.
func sample[R schemas.Record]() []R {
	rows := make([]R, 3)
	for i := range rows {
		if i == 1 {
			continue
		}
		row := reflect.ValueOf(&rows[i]).Elem()
		for f := range row.NumField() {
			name := row.Type().Field(f).Tag.Get("arrow")
			n := int32(len(name) + 100*i + f)
			switch p := row.Field(f).Addr().Interface().(type) {
			case *string:
				*p = fmt.Sprintf("%s %d é", name, i)
			case *bool:
				*p = true
			case *int32:
				*p = -n
			case *int64:
				*p = -int64(n) << 32
			case *uint64:
				*p = 1<<63 + uint64(n)
			case *float32:
				*p = float32(n) / 8
			case *float64:
				*p = -float64(n) / 8
			case *[]byte:
				*p = []byte{0, byte(n), 255}
			case *[]int32:
				*p = []int32{n, -n, n * n}
			case *[]float32:
				*p = []float32{float32(n) / 8}
			case *[]string:
				*p = []string{name, "", "é"}
			default:
				panic(fmt.Sprintf("sample: column %s: no value for %T", name, p))
			}
		}
	}
	return rows
}

// writeNew writes the bytes of a new record or version. Those of a released one stay: with other bytes the
// test fails, also with -update.
func writeNew(t *testing.T, file string, body []byte) {
	t.Helper()
	if _, err := os.Stat(file); err == nil {
		return
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, body, 0o644); err != nil {
		t.Fatal(err)
	}
}

// The released bytes of every record still give the same rows, and the same rows still give
// the same bytes: a message that a newer worker repeats is the same message.
func TestReleasedBytesStillRead(t *testing.T) {
	for _, r := range records {
		t.Run(r.schema, func(t *testing.T) {
			name, version, _ := strings.Cut(r.schema, "/")
			file := filepath.Join("testdata", version, name+".arrow")
			b, err := r.encode(schemas.Header{})
			if err != nil {
				t.Fatal(err)
			}
			if *update {
				writeNew(t, file, b.Body)
			}
			body, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			rows, err := r.decode(schemas.Batch{Header: schemas.Header{Schema: r.schema, Rows: 3}, Body: body})
			if err != nil {
				t.Fatalf("%v\na released version never changes: a record with other columns gets the next version", err)
			}
			if diff := cmp.Diff(r.sample, rows); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
			if !bytes.Equal(b.Body, body) {
				t.Errorf("the rows of %s encode to other bytes than the released ones", file)
			}
		})
	}
}

func TestRecordsAreComplete(t *testing.T) {
	var want, got []string
	for _, s := range source(t) {
		want = append(want, s.name)
	}
	for _, r := range records {
		got = append(got, r.row.Name())
	}
	slices.Sort(want)
	if !slices.Equal(want, got) {
		t.Errorf("records tested: %v\nrecords in the source: %v", got, want)
	}
}

// Batches of the previous version are still read correctly. Their bytes are never rewritten.
func TestReleasedBytesOfThePreviousVersion(t *testing.T) {
	scores := sample[schemas.Score]()
	for i := range scores {
		s := &scores[i]
		s.Answered, s.ErrorType, s.Draws, s.Right = false, "", 0, 0
	}
	readsPrevious(t, "score/v1", scores)
	selections := sample[schemas.Selection]()
	for i := range selections {
		s := &selections[i]
		s.Answers, s.AnswersCut, s.AnswersLimit, s.AnswersTokens, s.ReferenceTokens = 0, 0, 0, 0, 0
	}
	readsPrevious(t, "selection/v2", selections)
	runs := sample[schemas.Run]()
	for i := range runs {
		runs[i].Store = ""
	}
	readsPrevious(t, "run/v1", runs)
	candidates := sample[schemas.Candidate]()
	for i := range candidates {
		c := &candidates[i]
		c.Tools, c.Reference, c.Acceptable, c.Category, c.Calls = "", "", "", "", 0
	}
	readsPrevious(t, "candidate/v1", candidates)
	pairs := sample[schemas.Pair]()
	for i := range pairs {
		pairs[i].Kind, pairs[i].Proven = "", false
	}
	readsPrevious(t, "pair/v1", pairs)
}

// readsPrevious reads the released bytes of a version, three rows, with the version after it.
func readsPrevious[R schemas.Record](t *testing.T, schema string, want []R) {
	t.Helper()
	name, version, _ := strings.Cut(schema, "/")
	body, err := os.ReadFile(filepath.Join("testdata", version, name+".arrow"))
	if err != nil {
		t.Fatal(err)
	}
	header := schemas.Header{Schema: schema, Rows: 3}
	got, err := schemas.Decode[R](schemas.Batch{Header: header, Body: body})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("%s read as the next version: -want +got:\n%s", schema, diff)
	}
	_, err = schemas.Decode[R](schemas.Batch{Header: header, Body: body[:len(body)/2]})
	if err == nil || !strings.Contains(err.Error(), schema) {
		t.Errorf("half of %s: err = %v, want one that names it", schema, err)
	}
}

// A sourceRecord is a record as it stands in the source, with its comments.
type sourceRecord struct {
	name   string
	doc    string
	fields []sourceField
}

type sourceField struct{ name, comment string }

// source finds all exported structs of the package that have a method Schema, in the order
// of file names. Unexported ones are previous versions.
func source(t *testing.T) []sourceRecord {
	t.Helper()
	files, err := fs.Glob(os.DirFS("."), "*.go")
	if err != nil {
		t.Fatal(err)
	}
	structs, docs := map[string]*ast.StructType{}, map[string]string{}
	var order []string
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range f.Decls {
			switch d := d.(type) {
			case *ast.GenDecl:
				for _, s := range d.Specs {
					if s, ok := s.(*ast.TypeSpec); ok {
						if body, ok := s.Type.(*ast.StructType); ok {
							structs[s.Name.Name], docs[s.Name.Name] = body, d.Doc.Text()
						}
					}
				}
			case *ast.FuncDecl:
				if d.Name.Name != "Schema" || d.Recv == nil {
					continue
				}
				if name := d.Recv.List[0].Type.(*ast.Ident).Name; ast.IsExported(name) {
					order = append(order, name)
				}
			}
		}
	}
	var found []sourceRecord
	for _, name := range order {
		r := sourceRecord{name: name, doc: docs[name]}
		for _, f := range structs[name].Fields.List {
			for _, id := range f.Names {
				r.fields = append(r.fields, sourceField{id.Name, strings.TrimSpace(f.Comment.Text())})
			}
		}
		found = append(found, r)
	}
	return found
}
