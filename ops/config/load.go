package config

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"reflect"
	"sort"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// Load overlays base with the YAML file (none when file is ""), then with sets,
// each "section.key=value", and validates the whole. Errors name file and line,
// or the flag. A preset, wherever it is set, comes before all other settings.
func Load(base Config, file string, sets []string) (Config, error) {
	var text []byte
	if file != "" {
		var err error
		if text, err = os.ReadFile(file); err != nil {
			return Config{}, fmt.Errorf("config: %w", err)
		}
	}
	return load(base, func(l *loader) error {
		if file != "" {
			if err := l.file(file, text); err != nil {
				return err
			}
		}
		for _, s := range sets {
			if err := l.set(s); err != nil {
				return err
			}
		}
		return nil
	})
}

// load overlays base with the settings that overlay makes, once to find a preset, and again upon it.
func load(base Config, overlay func(*loader) error) (Config, error) {
	l, err := overlaid(base, overlay)
	if err != nil {
		return Config{}, err
	}
	if at, given := l.lines["preset"]; given {
		name, text := l.tree["preset"].(string)
		if !text && l.tree["preset"] != nil {
			return Config{}, fmt.Errorf("%s: preset: want a name, got %v", at, l.tree["preset"])
		}
		if base, err = base.with(name); err != nil {
			return Config{}, fmt.Errorf("%s: %w", at, err)
		}
		if l, err = overlaid(base, overlay); err != nil {
			return Config{}, err
		}
	}
	return l.finish()
}

// overlaid makes the tree of base and applies overlay to it.
func overlaid(base Config, overlay func(*loader) error) (*loader, error) {
	l := &loader{lines: map[string]string{}}
	if err := l.start(base); err != nil {
		return nil, err
	}
	return l, overlay(l)
}

// Read overlays the struct that into points to with a YAML file that is no configuration of a
// run, such as that of a connection. Errors name file and line.
func Read(file string, into any) error {
	l := loader{lines: map[string]string{}}
	if err := l.start(into); err != nil {
		return err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	if err := l.file(file, text); err != nil {
		return err
	}
	return l.decode(into)
}

// Setting is one value from a file that is not a configuration itself, such as the specification of a
// lab.
type Setting struct {
	At    string // file and line, for errors: "paper.yaml:12"
	Path  string // "section.key"
	Value any    // as YAML reads it
}

// Overlay overlays base with settings, in their order, and validates the whole. A preset comes before the
// others.
func Overlay(base Config, settings []Setting) (Config, error) {
	return load(base, func(l *loader) error {
		for _, s := range settings {
			if err := l.put(s.At, s.Path, func() (any, error) { return s.Value, nil }); err != nil {
				return err
			}
		}
		return nil
	})
}

// loader overlays the tree of the defaults. It remembers where each value came from, for later errors.
type loader struct {
	tree  map[string]any
	lines map[string]string // "expand.width" → "itool.yaml:12"
}

func (l *loader) start(base any) error {
	b, err := json.Marshal(base)
	if err != nil {
		return fmt.Errorf("config: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.UseNumber() // a seed can have more digits than a float
	if err := d.Decode(&l.tree); err != nil {
		return err
	}
	complete(l.tree, reflect.ValueOf(base))
	return nil
}

// complete adds the settings that JSON leaves out while they are zero. A setting that came after a release is
// written so: a configuration without it keeps its digest, and a lab its finished runs.
func complete(tree map[string]any, v reflect.Value) {
	if v.Kind() != reflect.Struct {
		return
	}
	for i := range v.NumField() {
		name, options, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		if section, ok := tree[name].(map[string]any); ok {
			complete(section, v.Field(i))
		} else if _, there := tree[name]; !there && options == "omitempty" {
			tree[name] = v.Field(i).Interface()
		}
	}
}

func (l *loader) file(name string, text []byte) error {
	f, err := parser.ParseBytes(text, 0)
	if err != nil {
		return fmt.Errorf("%s: %s", name, yaml.FormatError(err, false, true))
	}
	for _, doc := range f.Docs {
		if doc.Body == nil {
			continue
		}
		if err := l.node(name, "", l.tree, doc.Body); err != nil {
			return err
		}
	}
	return nil
}

// node overlays the section into with a mapping of the file.
func (l *loader) node(file, path string, into map[string]any, n ast.Node) error {
	var values []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	case *ast.CommentGroupNode, *ast.NullNode:
		return nil
	default:
		return fmt.Errorf("%s:%d: %s needs settings below it, each as key: value", file, n.GetToken().Position.Line,
			orTop(path))
	}
	for _, v := range values {
		key := v.Key.GetToken().Value
		at := fmt.Sprintf("%s:%d", file, v.Key.GetToken().Position.Line)
		if err := l.value(at, join(path, key), key, into, func(old map[string]any) error {
			return l.node(file, join(path, key), old, v.Value)
		}, func() (any, error) {
			var x any
			err := yaml.NodeToValue(v.Value, &x)
			return x, err
		}); err != nil {
			return err
		}
	}
	return nil
}

// value sets key in the section into to what leaf returns. If key is a section itself, down overlays it. at is the
// file and line, or the flag, for errors.
func (l *loader) value(
	at, path, key string, into map[string]any, down func(map[string]any) error, leaf func() (any, error),
) error {
	old, known := into[key]
	if !known {
		return fmt.Errorf("%s: unknown setting %s%s", at, path, suggest(key, into))
	}
	if section, ok := old.(map[string]any); ok {
		return down(section)
	}
	x, err := leaf()
	if err != nil {
		return fmt.Errorf("%s: %s: %w", at, path, err)
	}
	if f, ok := x.(float64); ok && (math.IsNaN(f) || math.IsInf(f, 0)) {
		return fmt.Errorf("%s: %s: a number is needed, not %v", at, path, f)
	}
	into[key], l.lines[path] = number(old, x), at
	return nil
}

// number reads text such as 3e-4 as a number if the setting has been one: the YAML library reads it as
// text. old is the default, or what an earlier file or flag has set.
func number(old, x any) any {
	text, isText := x.(string)
	if !isText {
		return x
	}
	switch old.(type) {
	case json.Number, float64, int64, uint64, int:
	default:
		return x
	}
	if f, err := strconv.ParseFloat(text, 64); err == nil && !math.IsInf(f, 0) && !math.IsNaN(f) {
		return f
	}
	return x
}

// set overlays one --set flag.
func (l *loader) set(s string) error {
	at := "--set " + s
	path, text, ok := strings.Cut(s, "=")
	if !ok {
		return fmt.Errorf("%s: write it as section.key=value", at)
	}
	if full := inSection(path); full != "" {
		return fmt.Errorf("%s: unknown setting %s; did you mean %s?", at, path, full)
	}
	return l.put(at, path, func() (x any, err error) {
		err = yaml.Unmarshal([]byte(text), &x)
		return x, err
	})
}

// put overlays one value, given by its path.
func (l *loader) put(at, path string, leaf func() (any, error)) error {
	keys := strings.Split(path, ".")
	into := l.tree
	for _, k := range keys[:len(keys)-1] {
		next, ok := into[k].(map[string]any)
		if !ok {
			return fmt.Errorf("%s: unknown section %s%s", at, k, suggest(k, into))
		}
		into = next
	}
	return l.value(at, path, keys[len(keys)-1], into, func(map[string]any) error {
		return fmt.Errorf("%s: %s is a section; set one of its keys", at, path)
	}, leaf)
}

// finish decodes the overlaid tree and validates it.
func (l *loader) finish() (Config, error) {
	var c Config
	if err := l.decode(&c); err != nil {
		return Config{}, err
	}
	if err := c.Validate(); err != nil {
		path, _, _ := strings.Cut(err.Error(), ":")
		return Config{}, fmt.Errorf("%s: %w", l.where(path), err)
	}
	return c, nil
}

// decode decodes the overlaid tree.
func (l *loader) decode(into any) error {
	b, err := json.Marshal(l.tree)
	if err != nil {
		return fmt.Errorf("config: %w", err)
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(into); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			return fmt.Errorf("%s: %s: %s is given, %s is needed",
				l.where(wrong.Field), wrong.Field, given(wrong.Value), kind(wrong.Type))
		}
		return fmt.Errorf("config: %w", err)
	}
	return nil
}

// given says in words what stands where another type is needed. what is encoding/json's word for it, such as
// "array" or "number 2.5".
func given(what string) string {
	switch what {
	case "array":
		return "a list"
	case "object":
		return "a mapping"
	case "string":
		return "text"
	case "bool":
		return "true or false"
	}
	return "the " + what
}

// kind says in words what a setting of this type takes.
func kind(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Uint64:
		return "a whole number, 0 or more,"
	case reflect.Float64:
		return "a number"
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "text"
	case reflect.Slice:
		return "a list such as [a, b]"
	case reflect.Map:
		return "a mapping such as {a: 2}"
	}
	return t.String()
}

func (l *loader) where(path string) string {
	if at, ok := l.lines[path]; ok {
		return at
	}
	return "config"
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func orTop(path string) string {
	if path == "" {
		return "the file"
	}
	return path
}

// suggest is Suggest for the keys of a section.
func suggest(key string, known map[string]any) string {
	names := make([]string, 0, len(known))
	for k := range known {
		names = append(names, k)
	}
	return Suggest(key, names)
}

// Suggest is the end of an error about an unknown key. It names the known key of the closest spelling,
// or all known keys if none is close.
func Suggest(key string, names []string) string {
	sort.Strings(names)
	best, at := 3, ""
	for _, n := range names {
		if d := distance(key, n); d < best {
			best, at = d, n
		}
	}
	if at != "" {
		return fmt.Sprintf("; did you mean %s?", at)
	}
	return "; known here: " + strings.Join(names, ", ")
}

// distance is the Levenshtein distance of two short words.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		last := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			last, row[j+1] = row[j+1], min(last+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
