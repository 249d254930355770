package lab

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"

	"itool/ops/config"
)

// axis is one setting of the grid with its values.
type axis struct {
	at     string
	path   string
	values []any
}

func (r *reader) axis(into *[]axis) func(at, path string, n ast.Node) error {
	return func(at, path string, n ast.Node) error {
		a := axis{at: at, path: path}
		if err := r.decode(&a.values)(n); err != nil || len(a.values) == 0 {
			return fmt.Errorf("%s: grid: %s needs a list of values", at, path)
		}
		*into = append(*into, a)
		return nil
	}
}

// cross makes of every arm one for each cell of tune, so that rivals are tuned as widely as the method. An arm
// that measures a policy before the rounds stays one.
func (r *reader) cross() error {
	if len(r.tune) == 0 {
		return nil
	}
	if !r.spec.Tuning {
		return fmt.Errorf("%s: tune: is for choosing settings: write tuning: true, which looks at validation only",
			r.tune[0].at)
	}
	cells, err := product(r.tune)
	if err != nil {
		return err
	}
	var out []Arm
	for _, a := range r.spec.Arms {
		if n, isLast, _ := round(cmp.Or(a.Measure, r.spec.Measure)); !isLast && n <= 0 {
			out = append(out, a)
			continue
		}
		for _, c := range cells {
			one := a
			one.Name, one.Settings = a.Name+" "+c.Name, slices.Concat(a.Settings, c.Settings)
			out = append(out, one)
		}
	}
	r.spec.Arms = out
	return nil
}

// grid makes an arm of every cell.
func (r *reader) grid() error {
	if len(r.axes) == 0 {
		return nil
	}
	cells, err := product(r.axes)
	r.spec.Arms = append(r.spec.Arms, cells...)
	return err
}

// product has an arm for every cell of the axes.
func product(axes []axis) ([]Arm, error) {
	cells := []Arm{{}}
	for _, a := range axes {
		if n := len(cells) * len(a.values); n > 1000 {
			return nil, fmt.Errorf("%s: grid: at least %d cells: give fewer values, or write several specifications",
				a.at, n)
		}
		var next []Arm
		for _, c := range cells {
			for _, v := range a.values {
				n := Arm{at: a.at, Name: strings.TrimSpace(fmt.Sprintf("%s %s=%v", c.Name, a.path, v))}
				n.Settings = append(append(n.Settings, c.Settings...), config.Setting{At: a.at, Path: a.path, Value: v})
				next = append(next, n)
			}
		}
		cells = next
	}
	return cells, nil
}
