package toolcall

import (
	"math"
	"math/big"
)

// Operations of ints and bools. Results have at most MaxDigits digits.

func wholeOp(op string, a, b Value, x, y *big.Int) (Value, error) {
	zero := y.Sign() == 0
	switch op {
	case "+":
		return integer(x.Add(x, y))
	case "-":
		return integer(x.Sub(x, y))
	case "*":
		return integer(x.Mul(x, y))
	case "/":
		if zero {
			return Value{}, errEvaluate
		}
		f, _ := new(big.Rat).SetFrac(x, y).Float64()
		if x.Sign() == 0 && y.Sign() < 0 {
			f = math.Copysign(0, -1) // Python's 0 / -3
		}
		return finite(f)
	case "//", "%":
		if zero {
			return Value{}, errEvaluate
		}
		quotient, rest := floorDiv(x, y)
		if op == "%" {
			return integer(rest)
		}
		return integer(quotient)
	case "**":
		if y.Sign() < 0 {
			return floatOp(op, a, b)
		}
		// Refuse a result that is too long before it is computed.
		const maxBits = MaxDigits * 10 / 3
		if x.BitLen() > 1 && (!y.IsInt64() || y.Int64() > maxBits || int64(x.BitLen()-1)*y.Int64() > maxBits) {
			return Value{}, errUnknown
		}
		if x.BitLen() <= 1 { // 0, 1, -1: only the parity of y counts, and 0**0 is 1
			y = new(big.Int).Add(new(big.Int).And(y, big.NewInt(1)), big.NewInt(int64(2*y.Sign())))
		}
		return integer(new(big.Int).Exp(x, y, nil))
	case "<<", ">>":
		return shift(op, x, y)
	case "&", "|", "^":
		return bitOp(op, a, b, x, y)
	}
	return Value{}, errEvaluate
}

// floorDiv divides as Python does: the remainder has the sign of the divisor.
func floorDiv(x, y *big.Int) (quotient, rest *big.Int) {
	quotient, rest = new(big.Int).QuoRem(x, y, new(big.Int))
	if rest.Sign() != 0 && rest.Sign() != y.Sign() {
		quotient.Sub(quotient, big.NewInt(1))
		rest.Add(rest, y)
	}
	return quotient, rest
}

func shift(op string, x, by *big.Int) (Value, error) {
	if by.Sign() < 0 {
		return Value{}, errEvaluate
	}
	if op == ">>" {
		if !by.IsInt64() || by.Int64() > math.MaxInt32 {
			by = big.NewInt(math.MaxInt32)
		}
		return integer(x.Rsh(x, uint(by.Int64())))
	}
	if x.Sign() == 0 {
		return Integer(0), nil
	}
	if !by.IsInt64() || by.Int64() > MaxDigits*10/3 {
		return Value{}, errUnknown
	}
	return integer(x.Lsh(x, uint(by.Int64())))
}

// bitOp of two bools gives a bool, as in Python.
func bitOp(op string, a, b Value, x, y *big.Int) (Value, error) {
	switch op {
	case "&":
		x.And(x, y)
	case "|":
		x.Or(x, y)
	default:
		x.Xor(x, y)
	}
	if a.Kind == Bool && b.Kind == Bool {
		return Truth(x.Sign() != 0), nil
	}
	return integer(x)
}
