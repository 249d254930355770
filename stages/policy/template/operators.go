package template

import (
	"errors"
	"fmt"
	"math"
	"reflect"
	"strings"
	"unsafe"

	"github.com/nikolalohinski/gonja/v2/exec"
	"github.com/nikolalohinski/gonja/v2/nodes"
	"github.com/nikolalohinski/gonja/v2/tokens"
)

// The engine's + and * follow Go's conversions: "a" + 2.5 is 2.5. A wrong prompt without
// an error is the worst outcome, so these operators are replaced in the parsed
// tree by filters of ours that do what Python does, or raise where it raises.

const (
	addFilter   = "__add__"
	timesFilter = "__mul__"
	joinFilter  = "__join__"
)

// pythonOperators walks a parsed template. Control structures keep their
// expressions in unexported fields, which the engine gives no other way to.
// It returns the longest chain of method calls below v; seen keeps each node's.
func pythonOperators(v reflect.Value, seen map[unsafe.Pointer]int) (chain int) {
	switch v.Kind() {
	case reflect.Interface:
		if v.IsNil() {
			return 0
		}
		if b, ok := v.Elem().Interface().(*nodes.BinaryExpression); ok && v.CanSet() {
			chain = pythonOperators(reflect.ValueOf(b), seen)
			if f := replacement(b); f != nil {
				v.Set(reflect.ValueOf(f))
			}
			return chain
		}
		return pythonOperators(v.Elem(), seen)
	case reflect.Pointer:
		if v.IsNil() || v.Type() == reflect.TypeFor[*tokens.Token]() {
			return 0
		}
		if chain, twice := seen[v.UnsafePointer()]; twice {
			return chain
		}
		seen[v.UnsafePointer()] = 0
		chain = pythonOperators(v.Elem(), seen)
		if call, ok := v.Interface().(*nodes.Call); ok && call.Parent != nil {
			chain++
		}
		seen[v.UnsafePointer()] = chain
	case reflect.Struct:
		for i := range v.NumField() {
			f := v.Field(i)
			if f.CanAddr() {
				f = reflect.NewAt(f.Type(), unsafe.Pointer(f.UnsafeAddr())).Elem()
			}
			chain = max(chain, pythonOperators(f, seen))
		}
	case reflect.Slice:
		for i := range v.Len() {
			chain = max(chain, pythonOperators(v.Index(i), seen))
		}
	case reflect.Map: // keyword arguments: values cannot be set in place
		for it := v.MapRange(); it.Next(); {
			slot := reflect.New(it.Value().Type()).Elem()
			slot.Set(it.Value())
			chain = max(chain, pythonOperators(slot, seen))
			v.SetMapIndex(it.Key(), slot)
		}
	}
	return chain
}

func replacement(b *nodes.BinaryExpression) *nodes.FilteredExpression {
	name := map[tokens.Type]string{tokens.Addition: addFilter, tokens.Multiply: timesFilter,
		tokens.Tilde: joinFilter}[b.Operator.Token.Type]
	if name == "" {
		return nil
	}
	return &nodes.FilteredExpression{Expression: b.Left, Filters: []*nodes.FilterCall{
		{Token: b.Operator.Token, Name: name, Args: []nodes.Expression{b.Right}},
	}}
}

func add(_ *exec.Evaluator, a *exec.Value, params *exec.VarArgs) *exec.Value {
	b := params.First()
	switch {
	case a.IsError():
		return a
	case b.IsError():
		return b
	case a.IsString() && b.IsString():
		if a.Len()+b.Len() > maxOutput {
			return exec.AsValue(errTooLarge)
		}
		return exec.AsValue(a.String() + b.String())
	case a.IsList() && b.IsList():
		list := []any{}
		for _, v := range []*exec.Value{a, b} {
			v.Iterate(func(_, _ int, item, _ *exec.Value) bool {
				list = append(list, item.Interface())
				return len(list) <= maxOutput/16
			}, func() {})
		}
		if len(list) > maxOutput/16 {
			return exec.AsValue(errTooLarge)
		}
		return exec.AsValue(list)
	case a.IsNumber() && b.IsNumber():
		if a.IsFloat() || b.IsFloat() {
			return exec.AsValue(a.Float() + b.Float())
		}
		return exec.AsValue(a.Integer() + b.Integer())
	}
	return exec.AsValue(fmt.Errorf("can only concatenate equal types, not %s and %s", kind(a), kind(b)))
}

func times(_ *exec.Evaluator, a *exec.Value, params *exec.VarArgs) *exec.Value {
	b := params.First()
	if b.IsString() && a.IsInteger() {
		a, b = b, a
	}
	switch {
	case a.IsError():
		return a
	case b.IsError():
		return b
	case a.IsNumber() && b.IsNumber():
		if a.IsFloat() || b.IsFloat() {
			return exec.AsValue(a.Float() * b.Float())
		}
		return exec.AsValue(a.Integer() * b.Integer())
	case a.IsString() && b.IsInteger():
		n := max(b.Integer(), 0)
		if n > math.MaxInt32 || n*a.Len() > maxOutput {
			return exec.AsValue(errTooLarge)
		}
		return exec.AsValue(strings.Repeat(a.String(), n))
	}
	return exec.AsValue(fmt.Errorf("cannot multiply %s and %s", kind(a), kind(b)))
}

// join is ~, which the engine does right, but without a bound.
func join(_ *exec.Evaluator, a *exec.Value, params *exec.VarArgs) *exec.Value {
	b := params.First()
	switch {
	case a.IsError():
		return a
	case b.IsError():
		return b
	}
	x, y := a.String(), b.String()
	if len(x)+len(y) > maxOutput {
		return exec.AsValue(errTooLarge)
	}
	return exec.AsValue(x + y)
}

func kind(v *exec.Value) string {
	switch {
	case v.IsNil():
		return "none"
	case v.IsString():
		return "a text"
	case v.IsList():
		return "a list"
	case v.IsDict():
		return "a mapping"
	case v.IsNumber():
		return "a number"
	}
	return "a value of another kind"
}

// items and the methods of mappings: the engine's own lose the order of keys.
func items(_ *exec.Evaluator, in *exec.Value, _ *exec.VarArgs) *exec.Value {
	if in.IsNil() {
		return exec.AsValue([]any{})
	}
	pairs, err := ordered(in, true, true)
	if err != nil {
		return exec.AsValue(err)
	}
	return exec.AsValue(pairs)
}

// ordered lists a mapping's keys, values or both in their order.
func ordered(v *exec.Value, keys, values bool) ([]any, error) {
	d, ok := v.Interface().(*exec.Dict)
	if byValue, isStruct := v.Interface().(exec.Dict); isStruct {
		d, ok = &byValue, true
	}
	if !ok {
		return nil, errors.New("items: not a mapping")
	}
	list := []any{}
	for _, p := range d.Pairs {
		switch {
		case keys && values:
			list = append(list, []any{p.Key.Interface(), p.Value.Interface()})
		case keys:
			list = append(list, p.Key.Interface())
		default:
			list = append(list, p.Value.Interface())
		}
	}
	return list, nil
}
