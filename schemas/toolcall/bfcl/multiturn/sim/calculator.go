package sim

import (
	"errors"
	"math"

	"itool/schemas/toolcall/bfcl/multiturn/python"
)

// calculator is MathAPI. It has no state.
type calculator struct{ *budget }

// afford counts the work of a logarithm or a root with so many digits.
func (c calculator) afford(precision Value) error {
	digits, err := python.ToFloat(precision) // a text may hold it, too
	if err != nil || !(digits >= 1 && digits < python.MaxPrecision+1) {
		return nil //nolint:nilerr // it will be refused
	}
	return c.spend(int(digits * (64 + digits/16)))
}

func (calculator) attributes() []Attribute { return nil }

func (c calculator) methods() map[string]method {
	two, numbers := need("a", "b"), need("numbers")
	return map[string]method{
		"logarithm":              {need("value", "base", "precision"), c.logarithm},
		"square_root":            {need("number", "precision"), c.squareRoot},
		"mean":                   {numbers, c.mean},
		"standard_deviation":     {numbers, c.deviation},
		"min_value":              {numbers, c.extreme("<", "minimum")},
		"max_value":              {numbers, c.extreme(">", "maximum")},
		"sum_values":             {numbers, c.sum},
		"si_unit_conversion":     {need("value", "unit_in", "unit_out"), c.si},
		"imperial_si_conversion": {need("value", "unit_in", "unit_out"), c.imperial},
		"add":                    {two, binary(python.Add)},
		"subtract":               {two, binary(python.Sub)},
		"multiply":               {two, c.multiply},
		"divide":                 {two, c.divide},
		"power":                  {need("base", "exponent"), binary(python.Pow)},
		"absolute_value":         {need("number"), c.absolute},
		"round_number":           {or(need("number"), "decimal_places", python.Int(0)), c.round},
		"percentage":             {need("part", "whole"), c.percentage},
	}
}

// siMeters are the lengths of units, in metres.
var siMeters = map[string]Value{
	"km": python.Int(1000), "m": python.Int(1), "cm": 0.01, "mm": 0.001, "um": 1e-6, "nm": 1e-9,
}

// imperialFactors convert by a product.
var imperialFactors = map[string]float64{
	"cm_to_in": 0.393701, "in_to_cm": 2.54, "m_to_ft": 3.28084, "ft_to_m": 0.3048, "m_to_yd": 1.09361,
	"yd_to_m": 0.9144, "km_to_miles": 0.621371, "miles_to_km": 1.60934, "kg_to_lb": 2.20462,
	"lb_to_kg": 0.453592, "celsius_to_fahrenheit": 1.8, "fahrenheit_to_celsius": 5. / 9,
}

const notNumbers = "Both inputs must be numbers"

// result is {"result": v}, or {"error": text} where Python raised a TypeError.
func result(v Value, err error, text string) (Value, error) {
	if isType(err, "TypeError") {
		return fail(text)
	}
	if err != nil {
		return nil, err
	}
	return python.Record("result", v), nil
}

func isType(err error, kind string) bool {
	var e *python.Error
	return errors.As(err, &e) && e.Type == kind
}

func binary(op func(a, b Value) (Value, error)) func([]Value) (Value, error) {
	return func(a []Value) (Value, error) {
		v, err := op(a[0], a[1])
		return result(v, err, notNumbers)
	}
}

func (c calculator) logarithm(a []Value) (Value, error) {
	if err := c.afford(a[2]); err != nil {
		return nil, err
	}
	v, err := python.Log(a[0], a[1], a[2])
	if err != nil {
		return python.Record("error", err.Error()), nil
	}
	return python.Record("result", v), nil
}

func (c calculator) squareRoot(a []Value) (Value, error) {
	if err := c.afford(a[1]); err != nil {
		return nil, err
	}
	const refused = "Input must be a number or computation resulted in an invalid operation"
	negative, err := python.Compare("<", a[0], python.Int(0))
	if err != nil {
		return fail(refused)
	}
	if negative {
		return fail("Cannot calculate square root of a negative number")
	}
	v, err := python.Sqrt(a[0], a[1])
	return result(v, err, refused)
}

func sumOf(numbers Value) (total Value, count int, err error) {
	items, err := python.Iterate(numbers)
	if err != nil {
		return nil, 0, err
	}
	total = python.Int(0)
	for _, item := range items {
		if total, err = python.Add(total, item); err != nil {
			return nil, 0, err
		}
	}
	return total, len(items), nil
}

const allNumbers = "All elements in the list must be numbers"

func (calculator) sum(a []Value) (Value, error) {
	if !python.Truthy(a[0]) {
		return fail("Cannot calculate sum of an empty list")
	}
	total, _, err := sumOf(a[0])
	return result(total, err, allNumbers)
}

func meanOf(numbers Value) (Value, error) {
	total, count, err := sumOf(numbers)
	if err != nil {
		return nil, err
	}
	return python.Div(total, python.Int(int64(count)))
}

func (calculator) mean(a []Value) (Value, error) {
	if !python.Truthy(a[0]) {
		return fail("Cannot calculate mean of an empty list")
	}
	v, err := meanOf(a[0])
	return result(v, err, allNumbers)
}

func (calculator) deviation(a []Value) (Value, error) {
	if !python.Truthy(a[0]) {
		return fail("Cannot calculate standard deviation of an empty list")
	}
	v, err := deviationOf(a[0])
	return result(v, err, allNumbers)
}

func deviationOf(numbers Value) (Value, error) {
	mean, err := meanOf(numbers)
	if err != nil {
		return nil, err
	}
	items, err := python.Iterate(numbers)
	if err != nil {
		return nil, err
	}
	squares := &python.List{}
	for _, item := range items {
		distance, err := python.Sub(item, mean)
		if err != nil {
			return nil, err
		}
		square, err := python.Pow(distance, python.Int(2))
		if err != nil {
			return nil, err
		}
		squares.Items = append(squares.Items, square)
	}
	variance, err := meanOf(squares)
	if err != nil {
		return nil, err
	}
	f, err := python.Float(variance)
	return math.Sqrt(f), err
}

// extreme finds the item that is before all others by op.
func (calculator) extreme(op, name string) func([]Value) (Value, error) {
	return func(a []Value) (Value, error) {
		if !python.Truthy(a[0]) {
			return fail("Cannot find " + name + " of an empty list")
		}
		items, err := python.Iterate(a[0])
		if err != nil || len(items) == 0 {
			return result(nil, err, allNumbers)
		}
		best := items[0]
		for _, item := range items[1:] {
			before, err := python.Compare(op, item, best)
			if err != nil {
				return result(nil, err, allNumbers)
			}
			if before {
				best = item
			}
		}
		return python.Record("result", best), nil
	}
}

func (calculator) si(a []Value) (Value, error) {
	value, in, out := a[0], a[1], a[2]
	if !python.IsNumber(value) {
		return fail("Value must be a number")
	}
	from, known, err := factor(in)
	if err != nil {
		return nil, err
	}
	var to Value
	if known {
		if to, known, err = factor(out); err != nil {
			return nil, err
		}
	}
	if !known {
		return fail("Conversion from '{}' to '{}' is not supported", in, out)
	}
	meters, err := python.Mul(value, from)
	if err != nil {
		return nil, err
	}
	inverse, err := python.Div(python.Int(1), to)
	if err != nil {
		return nil, err
	}
	v, err := python.Mul(meters, inverse)
	return result(v, err, "")
}

func factor(unit Value) (Value, bool, error) {
	if err := hashable(unit); err != nil {
		return nil, false, err
	}
	name, _ := unit.(string)
	v, ok := siMeters[name]
	return v, ok, nil
}

func (calculator) imperial(a []Value) (Value, error) {
	value, in, out := a[0], a[1], a[2]
	if !python.IsNumber(value) {
		return fail("Value must be a number")
	}
	if python.Equal(in, out) {
		return python.Record("result", value), nil
	}
	key, err := format("{}_to_{}", in, out)
	if err != nil {
		return nil, err
	}
	by, ok := imperialFactors[key]
	if !ok {
		return fail("Conversion from '{}' to '{}' is not supported", in, out)
	}
	v, err := converted(key, value, by)
	return result(v, err, "")
}

func converted(key string, value Value, by float64) (Value, error) {
	switch key {
	case "celsius_to_fahrenheit":
		v, err := python.Mul(value, by)
		if err != nil {
			return nil, err
		}
		return python.Add(v, python.Int(32))
	case "fahrenheit_to_celsius":
		return celsius(value)
	}
	return python.Mul(value, by)
}

// celsius is (v - 32) * 5 / 9.
func celsius(v Value) (Value, error) {
	above, err := python.Sub(v, python.Int(32))
	if err != nil {
		return nil, err
	}
	five, err := python.Mul(above, python.Int(5))
	if err != nil {
		return nil, err
	}
	return python.Div(five, python.Int(9))
}

func (calculator) multiply(a []Value) (Value, error) {
	if !python.IsNumber(a[0]) || !python.IsNumber(a[1]) {
		return fail(notNumbers)
	}
	return binary(python.Mul)(a)
}

func (calculator) divide(a []Value) (Value, error) {
	if python.Equal(a[1], python.Int(0)) {
		return fail("Cannot divide by zero")
	}
	return binary(python.Div)(a)
}

func (calculator) absolute(a []Value) (Value, error) {
	negative, err := python.Compare("<", a[0], python.Int(0))
	if err != nil {
		return fail("Input must be a number")
	}
	sign := python.Int(1)
	if negative {
		sign = python.Int(-1)
	}
	if f, ok := a[0].(float64); ok {
		return python.Record("result", math.Abs(f)), nil
	}
	v, err := python.Mul(a[0], sign)
	return result(v, err, "Input must be a number")
}

func (calculator) round(a []Value) (Value, error) {
	v, err := python.Round(a[0], a[1])
	return result(v, err, "First input must be a number, second input must be an integer")
}

func (calculator) percentage(a []Value) (Value, error) {
	if python.Equal(a[1], python.Int(0)) {
		return fail("Whole value cannot be zero")
	}
	v, err := python.Div(a[0], a[1])
	if err == nil {
		v, err = python.Mul(v, python.Int(100))
	}
	return result(v, err, notNumbers)
}
