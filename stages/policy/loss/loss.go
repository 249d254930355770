// Package loss computes what training minimises: the SFT loss (negative log-likelihood) and the
// preference losses SimPO, DPO, IPO and ORPO. loss.go has them as pure functions with their
// derivatives. graph.go has them as a gorgonia operation on the log-probabilities of a packed batch.
// The package knows no model and no optimiser.
//
//	v, err := loss.Config{Kind: loss.DPO, Beta: 0.1}.Of(pair) // v.Loss, v.DChosen, v.DRejected
//
// Symbols: S is the sum of the log-probabilities of a side's tokens in nats, n the number of its tokens,
// a = S/n. Index w (won) is the chosen side, l (lost) the rejected one. All numbers are float64.
package loss

import (
	"errors"
	"fmt"
	"math"
)

// Kind names a loss.
type Kind string

// The losses.
const (
	SFT   Kind = "sft"
	SimPO Kind = "simpo"
	DPO   Kind = "dpo"
	IPO   Kind = "ipo"
	ORPO  Kind = "orpo"
)

// Config chooses a loss and its parameters. SFT has none.
type Config struct {
	Kind      Kind
	Beta      float64 // β > 0
	Gamma     float64 // γ ≥ 0 of SimPO: the target margin itself, not the ratio γ/β of the authors' code
	SFTWeight float64 // f ≥ 0: adds f·(−a_w) to a preference loss
}

// Validate checks the ranges. Its error names the field as configuration files write it.
func (c Config) Validate() error {
	switch c.Kind {
	case SFT:
		return nil
	case SimPO, DPO, IPO, ORPO:
	default:
		return fmt.Errorf("loss: %q is none of sft, simpo, dpo, ipo, orpo", c.Kind)
	}
	switch {
	case !(c.Beta > 0) || math.IsInf(c.Beta, 0):
		return fmt.Errorf("beta: %v is not positive", c.Beta)
	case !(c.Gamma >= 0) || math.IsInf(c.Gamma, 0):
		return fmt.Errorf("gamma: %v is negative", c.Gamma)
	case !(c.SFTWeight >= 0) || math.IsInf(c.SFTWeight, 0):
		return fmt.Errorf("sft_weight: %v is negative", c.SFTWeight)
	}
	return nil
}

// Pair is the log-probabilities that a model gives the two sides of a preference pair.
type Pair struct {
	Chosen, Rejected       float64 // S_w, S_l in nats
	NChosen, NRejected     int     // n_w, n_l in tokens
	RefChosen, RefRejected float64 // S of the reference model in nats; DPO and IPO only
}

// Value is a loss and its derivatives with respect to S_w and S_l.
type Value struct{ Loss, DChosen, DRejected float64 }

var errEmpty = errors.New("a side has no tokens, so its mean is not defined: drop such pairs before training")

// Of computes the preference loss of one pair. It is an error if a side has no tokens, or if the loss
// is SFT.
func (c Config) Of(p Pair) (Value, error) {
	if p.NChosen < 1 || p.NRejected < 1 {
		return Value{}, errEmpty
	}
	var v Value
	switch c.Kind {
	case SimPO:
		v = simPO(p, c.Beta, c.Gamma)
	case DPO:
		v = dpo(p, c.Beta)
	case IPO:
		v = ipo(p, c.Beta)
	case ORPO:
		v = orpo(p, c.Beta)
	default:
		return Value{}, fmt.Errorf("loss: %q is not a preference loss", c.Kind)
	}
	nw := float64(p.NChosen)
	v.Loss += c.SFTWeight * -p.Chosen / nw
	v.DChosen -= c.SFTWeight / nw
	return v, nil
}

// simPO is −log σ(β·a_w − β·a_l − γ): Eq. 10 and 11 of the SimPO paper.
func simPO(p Pair, beta, gamma float64) Value {
	nw, nl := float64(p.NChosen), float64(p.NRejected)
	x := beta*(p.Chosen/nw-p.Rejected/nl) - gamma
	push := beta * sigmoid(-x)
	return Value{softplus(-x), -push / nw, push / nl}
}

// dpo is −log σ(β·[(S_w − ref_w) − (S_l − ref_l)]).
func dpo(p Pair, beta float64) Value {
	x := beta * ((p.Chosen - p.RefChosen) - (p.Rejected - p.RefRejected))
	push := beta * sigmoid(-x)
	return Value{softplus(-x), -push, push}
}

// ipo is ((S_w − ref_w)/n_w − (S_l − ref_l)/n_l − 1/(2β))². The paper's formula has no averages per
// token; its authors confirmed that they are meant.
func ipo(p Pair, beta float64) Value {
	nw, nl := float64(p.NChosen), float64(p.NRejected)
	d := (p.Chosen-p.RefChosen)/nw - (p.Rejected-p.RefRejected)/nl - 1/(2*beta)
	return Value{d * d, 2 * d / nw, -2 * d / nl}
}

// orpo is −a_w − β·log σ(log-odds of w − log-odds of l), with odds = p/(1−p) and p = eᵃ.
func orpo(p Pair, beta float64) Value {
	nw, nl := float64(p.NChosen), float64(p.NRejected)
	aw, al := p.Chosen/nw, p.Rejected/nl
	x := (aw - log1mexp(aw)) - (al - log1mexp(al))
	push := beta * sigmoid(-x)
	// d(a − log(1−eᵃ))/da = 1/(1−eᵃ)
	return Value{-aw + beta*softplus(-x), (-1 - push/oneMinusExp(aw)) / nw, push / oneMinusExp(al) / nl}
}

// leastNats keeps 1 − eᵃ away from zero. In float32 the log-probability of an almost certain token
// rounds to exactly 0, and its odds would be infinite. The value is about half the distance between
// neighbouring float32 numbers just below 1.
const leastNats = 3e-8

func oneMinusExp(a float64) float64 { return -math.Expm1(min(a, -leastNats)) }
func log1mexp(a float64) float64    { return math.Log(oneMinusExp(a)) }

// softplus is log(1 + eˣ) = −log σ(−x), computed so that it cannot overflow.
func softplus(x float64) float64 { return max(x, 0) + math.Log1p(math.Exp(-math.Abs(x))) }

func sigmoid(x float64) float64 {
	if x < 0 {
		e := math.Exp(x)
		return e / (1 + e)
	}
	return 1 / (1 + math.Exp(-x))
}
