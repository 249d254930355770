package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"itool/ops/config"
)

var update = flag.Bool("update", false, "write settings.yaml again")

// TestSettings: what `itool init` writes is the default configuration, with the
// comment of every field.
func TestSettings(t *testing.T) {
	want := writeSettings(t)
	if *update {
		if err := os.WriteFile("settings.yaml", want, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(settings, want) && !*update {
		t.Fatal("settings.yaml lags behind the stages' configurations: go test ./ops/itool -run Settings -update")
	}
	file := filepath.Join(t.TempDir(), "itool.yaml")
	if err := os.WriteFile(file, want, 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := config.Load(config.Default(), file, nil)
	if err != nil {
		t.Fatal(err)
	}
	a, _ := json.Marshal(got)
	b, _ := json.Marshal(config.Default())
	if !bytes.Equal(a, b) {
		t.Errorf("the file resolves to\n%s\nthe defaults are\n%s", a, b)
	}
}

func writeSettings(t *testing.T) []byte {
	var out bytes.Buffer
	fmt.Fprint(&out, "# All settings with their defaults. Delete what you do not change: "+
		"what is missing keeps its default,\n# and an unknown name is an error.\n")
	v := reflect.ValueOf(config.Default())
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if field.Type.Kind() != reflect.Struct {
			setting, comment := tag(field)+": "+value(t, v.Field(i)), fieldComments(t, v.Type())[field.Name]
			if comment.line != "" {
				fmt.Fprintf(&out, "\n%-38s # %s\n", setting, comment.line)
			} else {
				about := strings.Replace(comment.above, field.Name+" ", tag(field)+" ", 1)
				fmt.Fprintf(&out, "\n# %s\n%s\n", strings.ReplaceAll(about, "\n", "\n# "), setting)
			}
			continue
		}
		if field.Type.NumField() == 0 {
			continue
		}
		comments := fieldComments(t, field.Type)
		fmt.Fprintf(&out, "\n%s:\n", tag(field))
		about := "" // the last comment above a field
		for j := range field.Type.NumField() {
			f := field.Type.Field(j)
			setting, comment := tag(f)+": "+value(t, v.Field(i).Field(j)), comments[f.Name]
			switch {
			case comment.line != "":
				fmt.Fprintf(&out, "  %-36s # %s\n", setting, comment.line)
			case comment.above != "":
				about = strings.Replace(comment.above, f.Name+" ", tag(f)+" ", 1)
				if j+1 < field.Type.NumField() { // the comment may be about the next field, too
					next := field.Type.Field(j + 1)
					about = strings.Replace(about, " and "+next.Name+" ", " and "+tag(next)+" ", 1)
				}
				fmt.Fprintf(&out, "  # %s\n  %s\n", strings.ReplaceAll(about, "\n", "\n  # "), setting)
			case strings.Contains(about, " and "+tag(f)+" "):
				fmt.Fprintf(&out, "  %s\n", setting)
			default:
				t.Errorf("%s.%s has no comment: its user needs unit and range", field.Type, f.Name)
			}
		}
	}
	return out.Bytes()
}

func tag(f reflect.StructField) string {
	name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
	return name
}

func value(t *testing.T, v reflect.Value) string {
	b, err := json.Marshal(v.Interface())
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// fieldComment is what the source says about a field: at the end of its line, or above it.
type fieldComment struct{ line, above string }

// fieldComments reads the comments of a struct's fields from its package's source.
func fieldComments(t *testing.T, typ reflect.Type) map[string]fieldComment {
	module := strings.TrimSuffix(reflect.TypeFor[config.Config]().PkgPath(), "ops/config")
	dir := filepath.Join("..", "..", filepath.FromSlash(strings.TrimPrefix(typ.PkgPath(), module)))
	files, err := filepath.Glob(filepath.Join(dir, "*.go"))
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]fieldComment{}
	for _, file := range files {
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			spec, ok := n.(*ast.TypeSpec)
			if !ok || spec.Name.Name != typ.Name() {
				return true
			}
			for _, field := range spec.Type.(*ast.StructType).Fields.List {
				for _, name := range field.Names {
					out[name.Name] = fieldComment{
						strings.TrimSpace(field.Comment.Text()), strings.TrimSpace(field.Doc.Text()),
					}
				}
			}
			return false
		})
	}
	return out
}

// TestInitFor: a run accepts the settings for a model; an unknown one lists those that are known, and a file is
// replaced only with --force.
func TestInitFor(t *testing.T) {
	if testing.Short() {
		t.Skip("runs a whole line in processes of its own")
	}
	dir := t.TempDir()
	expect(t, dir, 0, "wrote itool.yaml", "init", "--for", "smollm2-135m")
	expect(t, dir, exitError, "itool.yaml is there already", "init", "--for", "smollm2-135m")
	expect(t, dir, 0, "wrote itool.yaml", "init", "--for", "HuggingFaceTB/SmolLM2-135M-Instruct", "--force")
	_, errs := expect(t, dir, exitUsage, "", "init", "--for", "gpt-5", "other.yaml")
	if !strings.Contains(errs, `"gpt-5" is not known`) || !strings.Contains(errs, "qwen2.5-7b") {
		t.Errorf("got %s", errs)
	}
	args := append([]string{"run", writeRows(t, dir, 40), "--config", "itool.yaml", "--json"}, small...)
	expect(t, dir, 0, `"status":"done"`, append(args, "--set", "line.rounds=0")...)
}
