package lab

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"

	"itool/ops/config"
)

// Spec is the specification of a lab, as the YAML file has it.
type Spec struct {
	Name     string           // of the lab; one token of [A-Za-z0-9_-]
	Question string           // the question that it answers, in one sentence
	Demo     string           // "", full or quick: the demo's dataset, base and configuration
	Source                    // of the arms that have none of their own
	Common   []config.Setting // settings of every arm
	Seeds    []uint64         // every arm runs once per seed; the held-out rows stay the same
	Arms     []Arm            // in the order of the file, then the cells of the grid
	Compare  []Pair
	Measure  string // the policy that counts, unless the arm has its own: last, base, warm-up, round N
	Tuning   bool   // settings are being chosen: only the validation part is evaluated
}

// Source is what a run is made from. The zero value is the demo's base and dataset.
type Source struct {
	Base     string   // the base model: a folder, a GGUF file or a run; "" is the demo's
	Datasets []string // files; none: the demo's
}

// Arm is one variant that is compared.
type Arm struct {
	Name     string
	Note     string
	Source                    // what it has of its own; "" and none: that of Spec
	Measure  string           // "": that of Spec
	Settings []config.Setting // in addition to Spec.Common, and stronger

	at string // file and line, for errors
}

// Pair requests the difference A − B between two arms.
type Pair struct {
	A, B    string
	Note    string
	Primary bool // one of the outcomes that were chosen before the first run

	at string
}

// Read reads a specification. An unknown key is an error with its line. Paths in the file are
// relative to its folder.
func Read(file string) (*Spec, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("specification: %w", err)
	}
	f, err := parser.ParseBytes(text, 0)
	if err != nil {
		return nil, fmt.Errorf("%s: %s", file, yaml.FormatError(err, false, true))
	}
	s := &Spec{Measure: last}
	r := reader{file: file, spec: s}
	for _, doc := range f.Docs {
		if doc.Body == nil {
			continue
		}
		if err := r.mapping(doc.Body, "the file", r.topLevel()); err != nil {
			return nil, err
		}
	}
	if err := r.grid(); err != nil {
		return nil, err
	}
	if err := r.cross(); err != nil {
		return nil, err
	}
	if err := s.check(); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	if err := r.resolveSource(&s.Source); err != nil {
		return nil, err
	}
	for i := range s.Arms {
		if err := r.resolveSource(&s.Arms[i].Source); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// reader turns the file's nodes into a Spec.
type reader struct {
	file string
	spec *Spec
	axes []axis // the settings of the grid
	tune []axis // those that every arm is tuned over
}

// fields has a function for every key of a mapping; it reads the key's value.
type fields map[string]func(ast.Node) error

func (r *reader) topLevel() fields {
	s := r.spec
	return fields{
		"name": r.decode(&s.Name), "question": r.decode(&s.Question),
		"base": r.decode(&s.Base), "datasets": r.decode(&s.Datasets),
		"seeds": r.decode(&s.Seeds), "measure": r.decode(&s.Measure), "tuning": r.decode(&s.Tuning),
		"demo": r.demo,
		"set":  func(n ast.Node) (err error) { s.Common, err = r.settings(n); return err },
		"arms": func(n ast.Node) error { return r.list(n, "arms", r.arm) },
		"grid": func(n ast.Node) error { return r.settingsOf(n, "grid", r.axis(&r.axes)) },
		"tune": func(n ast.Node) error { return r.settingsOf(n, "tune", r.axis(&r.tune)) },
		"compare": func(n ast.Node) error {
			return r.list(n, "compare", r.pair)
		},
	}
}

func (r *reader) at(n ast.Node) string {
	return fmt.Sprintf("%s:%d", r.file, n.GetToken().Position.Line)
}

// decode returns a function that decodes a plain value.
func (r *reader) decode(to any) func(ast.Node) error {
	return func(n ast.Node) error {
		if err := yaml.NodeToValue(n, to); err != nil {
			return fmt.Errorf("%s: %s", r.at(n), firstLine(err))
		}
		return nil
	}
}

func firstLine(err error) string {
	text, _, _ := strings.Cut(yaml.FormatError(err, false, false), "\n")
	return text
}

// mapping calls the function of every key. An unknown key is an error.
func (r *reader) mapping(n ast.Node, what string, known fields) error {
	names := make([]string, 0, len(known))
	for k := range known {
		names = append(names, k)
	}
	return r.each(n, what, func(key ast.Node, value ast.Node) error {
		name := key.GetToken().Value
		f := known[name]
		if f == nil {
			return fmt.Errorf("%s: unknown key %s%s", r.at(key), name, config.Suggest(name, names))
		}
		return f(value)
	})
}

// each visits the entries of a mapping. A key that occurs twice is an error.
func (r *reader) each(n ast.Node, what string, visit func(key, value ast.Node) error) error {
	var values []*ast.MappingValueNode
	switch n := n.(type) {
	case *ast.MappingNode:
		values = n.Values
	case *ast.MappingValueNode:
		values = []*ast.MappingValueNode{n}
	case *ast.CommentGroupNode, *ast.NullNode:
		return nil
	default:
		return fmt.Errorf("%s: %s must be a mapping, key: value", r.at(n), what)
	}
	seen := map[string]bool{}
	for _, v := range values {
		if name := v.Key.GetToken().Value; seen[name] {
			return fmt.Errorf("%s: %s occurs twice in %s", r.at(v.Key), name, what)
		} else {
			seen[name] = true
		}
		if err := visit(v.Key, v.Value); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) list(n ast.Node, what string, visit func(ast.Node) error) error {
	list, ok := n.(*ast.SequenceNode)
	if !ok {
		return fmt.Errorf("%s: %s must be a list", r.at(n), what)
	}
	for _, v := range list.Values {
		if err := visit(v); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) demo(n ast.Node) error {
	var x any
	if err := r.decode(&x)(n); err != nil {
		return err
	}
	switch x {
	case true, "full":
		r.spec.Demo = "full"
	case "quick":
		r.spec.Demo = "quick"
	case false:
	default:
		return fmt.Errorf("%s: demo: %v is neither true nor quick", r.at(n), x)
	}
	return nil
}

func (r *reader) arm(n ast.Node) error {
	a := Arm{at: r.at(n)}
	err := r.mapping(n, "an arm", fields{
		"name": r.decode(&a.Name), "note": r.decode(&a.Note), "measure": r.decode(&a.Measure),
		"base": r.decode(&a.Base), "datasets": r.decode(&a.Datasets),
		"set": func(n ast.Node) (err error) { a.Settings, err = r.settings(n); return err },
	})
	r.spec.Arms = append(r.spec.Arms, a)
	return err
}

// settings reads either section.key: value, or nested sections as in a configuration.
func (r *reader) settings(n ast.Node) (out []config.Setting, err error) {
	err = r.settingsOf(n, "set", func(at, path string, v ast.Node) error {
		var x any
		if err := r.decode(&x)(v); err != nil {
			return err
		}
		out = append(out, config.Setting{At: at, Path: path, Value: x})
		return nil
	})
	return out, err
}

func (r *reader) settingsOf(n ast.Node, what string, visit func(at, path string, value ast.Node) error) error {
	return r.each(n, what, func(key, value ast.Node) error {
		path := key.GetToken().Value
		switch value.(type) {
		case *ast.MappingNode, *ast.MappingValueNode:
			return r.settingsOf(value, path, func(at, key string, v ast.Node) error {
				return visit(at, path+"."+key, v)
			})
		}
		return visit(r.at(key), path, value)
	})
}

// pair reads "A - B", [A, B], or a mapping with one of them as pair: and a note:.
func (r *reader) pair(n ast.Node) error {
	p := Pair{at: r.at(n)}
	read := func(n ast.Node) error {
		var x any
		if err := r.decode(&x)(n); err != nil {
			return err
		}
		switch x := x.(type) {
		case string:
			if a, b, ok := strings.Cut(x, " - "); ok {
				p.A, p.B = strings.TrimSpace(a), strings.TrimSpace(b)
				return nil
			}
		case []any:
			if len(x) == 2 {
				p.A, p.B = fmt.Sprint(x[0]), fmt.Sprint(x[1])
				return nil
			}
		}
		return fmt.Errorf("%s: want a comparison such as \"arm - other arm\", with spaces around the minus, "+
			"or [arm, other arm]", r.at(n))
	}
	var err error
	switch n.(type) {
	case *ast.MappingNode, *ast.MappingValueNode:
		err = r.mapping(n, "a comparison", fields{
			"pair": read, "note": r.decode(&p.Note), "primary": r.decode(&p.Primary)})
	default:
		err = read(n)
	}
	r.spec.Compare = append(r.spec.Compare, p)
	return err
}

// resolveSource resolves the paths of a source. $NAME in them is a variable of the environment, for what
// lies elsewhere on every machine.
func (r *reader) resolveSource(s *Source) (err error) {
	if s.Base, err = r.expand(s.Base); err != nil {
		return err
	}
	if s.Base != "" {
		s.Base = r.resolveBase(s.Base)
	}
	for i, d := range s.Datasets {
		if d, err = r.expand(d); err != nil {
			return err
		}
		s.Datasets[i] = r.resolve(d)
	}
	return nil
}

func (r *reader) expand(path string) (string, error) {
	var missing string
	out := os.Expand(path, func(name string) string {
		value := os.Getenv(name)
		if value == "" {
			missing = name
		}
		return value
	})
	if missing != "" {
		return "", fmt.Errorf("%s: %s: the environment has no %s: export %[3]s=FOLDER", r.file, path, missing)
	}
	return out, nil
}

// resolve makes a path relative to the specification's folder.
func (r *reader) resolve(path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(filepath.Dir(r.file), path)
}

// resolveBase resolves a path; the name of a run, which is no path, stays.
func (r *reader) resolveBase(name string) string {
	path, _, _ := strings.Cut(name, "@")
	for _, p := range []string{name, path} {
		if _, err := os.Stat(r.resolve(p)); err == nil {
			return r.resolve(name)
		}
	}
	return name
}

const last = "last"

// round parses a measure: the number of the round (−1 base, 0 warm-up), or isLast for the last
// policy of a run. ok is false if the text is no measure.
func round(measure string) (n int, isLast, ok bool) {
	switch measure {
	case "", last:
		return 0, true, true
	case "base":
		return -1, false, true
	case "warm-up":
		return 0, false, true
	}
	digits, found := strings.CutPrefix(measure, "round ")
	n, err := strconv.Atoi(digits)
	return n, false, found && err == nil && n > 0
}
