package apibank

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"itool/schemas/toolcall/bfcl/multiturn/python"
)

// maxTerms limits a formula; the original has no limit, and no end for some such as -5+3.
const maxTerms = 1000

var errFormula = errors.New("invalid formula")

// calculate computes + - * / and parentheses from left to right, products first.
func calculate(q *request) (python.Value, error) {
	formula, _ := tight(q.text("formula"))
	operators := len(formula) - len(strings.NewReplacer("+", "", "-", "", "*", "", "/", "").Replace(formula))
	switch {
	case formula == "", strings.Trim(formula, "0123456789+-*/()") != "",
		strings.Count(formula, "(") != strings.Count(formula, ")"),
		operators == 0, operators+1 == len(formula), len(formula) > maxTerms:
		return nil, errFormula
	}
	value, err := reduce(terms(formula))
	if err != nil {
		return nil, err
	}
	return value, nil
}

// term is a number, or an operator or parenthesis.
type term struct {
	number float64
	sign   byte // 0: a number
}

func terms(formula string) (all []term) {
	for i := 0; i < len(formula); {
		end := i
		for end < len(formula) && formula[end] >= '0' && formula[end] <= '9' {
			end++
		}
		if end == i {
			all = append(all, term{sign: formula[i]})
			i++
			continue
		}
		n, _ := strconv.ParseFloat(formula[i:end], 64) // too many digits are infinite, as in Python
		all = append(all, term{number: n})
		i = end
	}
	return all
}

func reduce(all []term) (float64, error) {
	at := func(signs ...byte) int {
		return slices.IndexFunc(all, func(t term) bool { return slices.Contains(signs, t.sign) && t.sign != 0 })
	}
	for open := at('('); open >= 0; open = at('(') {
		end := at(')')
		if end < open {
			return 0, errFormula
		}
		inner, err := reduce(slices.Clone(all[open+1 : end]))
		if err != nil {
			return 0, err
		}
		all = slices.Replace(all, open, end+1, term{number: inner})
	}
	for _, signs := range [][]byte{{'*', '/'}, {'+', '-'}} {
		for i := at(signs...); i >= 0; i = at(signs...) {
			if i == 0 || i+1 == len(all) || all[i-1].sign != 0 || all[i+1].sign != 0 {
				return 0, errFormula // an operator without numbers
			}
			n, err := apply(all[i-1].number, all[i].sign, all[i+1].number)
			if err != nil {
				return 0, err
			}
			all = slices.Replace(all, i-1, i+2, term{number: n})
		}
	}
	if len(all) == 0 || all[0].sign != 0 {
		return 0, errFormula
	}
	return all[0].number, nil
}

func apply(a float64, sign byte, b float64) (float64, error) {
	switch sign {
	case '+':
		return a + b, nil
	case '-':
		return a - b, nil
	case '*':
		return a * b, nil
	}
	if b == 0 {
		return 0, errors.New("division by zero")
	}
	return a / b, nil
}
