package kerneltest

import (
	"fmt"
	"slices"
)

// layerTolerance: one exp, one division or one root per element, and sums over at most 192 of them.
const layerTolerance = 1e-5

// layerChecks are the checks of the operations of a layer around its matrix products: RMSNorm, RoPE and
// SwiGLU, each with its gradient. Sizes are around the widths of vectors (8, 16, 32), and empty ones. A tensor
// that an operation overwrites begins as in.output, one that it adds to or changes in place as in.normal.
func layerChecks() []check {
	return slices.Concat(normChecks(), ropeChecks(), swigluChecks())
}

func normChecks() (all []check) {
	for _, s := range [][2]int{{1, 1}, {1, 7}, {3, 16}, {5, 33}, {70, 192}, {0, 8}} {
		t, k := s[0], s[1]
		size := fmt.Sprintf("%dx%d", t, k)
		all = append(all, check{"rmsnorm", size, layerTolerance, func(dev Slices, in *source) []tensor {
			y, rstd := in.output(t*k), in.output(t)
			dev.RMSNorm(y, rstd, in.normal(t*k, 3), in.normal(k, 1), t, k, 1e-5)
			return []tensor{{"y", y}, {"rstd", rstd}}
		}})
		for _, frozen := range []bool{false, true} { // a frozen weight has no gradient
			all = append(all, check{"rmsnorm backward", fmt.Sprintf("%s frozen=%v", size, frozen), layerTolerance,
				func(dev Slices, in *source) []tensor {
					x, w, dy := in.normal(t*k, 3), in.normal(k, 1), in.normal(t*k, 1)
					rstd := rstdOf(x, t, k)
					dx, dw := in.normal(t*k, 1), in.normal(k, 1)
					if frozen {
						dev.RMSNormBackward(dx, nil, dy, x, w, rstd, t, k)
						return []tensor{{"dx", dx}}
					}
					dev.RMSNormBackward(dx, dw, dy, x, w, rstd, t, k)
					return []tensor{{"dx", dx}, {"dw", dw}}
				}})
		}
	}
	return all
}

func ropeChecks() (all []check) {
	for _, s := range [][3]int{{1, 1, 2}, {3, 2, 6}, {5, 3, 32}, {40, 6, 32}, {2, 1, 128}, {4, 2, 34}, {0, 2, 4}} {
		for _, inverse := range []bool{false, true} {
			t, h, d := s[0], s[1], s[2]
			all = append(all, check{"rope", fmt.Sprintf("T%d H%d D%d inverse=%v", t, h, d, inverse), layerTolerance,
				func(dev Slices, in *source) []tensor {
					const positions = 50
					x := in.normal(t*h*d, 1)
					pos := make([]int32, t)
					for i := range pos {
						pos[i] = in.rng.Int32N(positions)
					}
					dev.RoPE(x, in.normal(positions*d/2, 1), in.normal(positions*d/2, 1), pos, t, h, d, inverse)
					return []tensor{{"x", x}}
				}})
		}
	}
	return all
}

func swigluChecks() (all []check) {
	for _, n := range []int{0, 1, 15, 16, 17, 1000, 40000} {
		for _, spread := range []float64{1, 60} { // 60: sigmoid saturates on both sides
			name := fmt.Sprintf("n=%d spread=%v", n, spread)
			all = append(all, check{"swiglu", name, layerTolerance, func(dev Slices, in *source) []tensor {
				y := in.output(n)
				dev.SwiGLU(y, in.normal(n, spread), in.normal(n, 1), n)
				return []tensor{{"y", y}}
			}})
			all = append(all, check{"swiglu backward", name, layerTolerance,
				func(dev Slices, in *source) []tensor {
					dGate, dUp := in.output(n), in.output(n)
					dev.SwiGLUBackward(dGate, dUp, in.normal(n, 1), in.normal(n, spread), in.normal(n, 1), n)
					return []tensor{{"dGate", dGate}, {"dUp", dUp}}
				}})
		}
	}
	return all
}
