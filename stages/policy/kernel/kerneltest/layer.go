package kerneltest

import (
	"fmt"

	"itool/stages/policy/kernel"
)

// One exp, one division or one root per element: a few units in the last place.
const layerTolerance = 1e-5

func layerChecks() []check {
	var all []check
	for _, s := range [][2]int{{1, 1}, {1, 7}, {3, 16}, {5, 33}, {70, 192}, {0, 8}} {
		t, k := s[0], s[1]
		size := fmt.Sprintf("%dx%d", t, k)
		all = append(all, check{"rmsnorm", size, layerTolerance, func(dev kernel.Device, in *source) []tensor {
			y, rstd := in.output(t*k), in.output(t)
			dev.RMSNorm(y, rstd, in.normal(t*k, 3), in.normal(k, 1), t, k, 1e-5)
			return []tensor{{"y", y}, {"rstd", rstd}}
		}})
		for _, frozen := range []bool{false, true} {
			all = append(all, check{"rmsnorm backward", fmt.Sprintf("%s frozen=%v", size, frozen), layerTolerance,
				func(dev kernel.Device, in *source) []tensor {
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
	for _, s := range [][3]int{{1, 1, 2}, {3, 2, 6}, {5, 3, 32}, {40, 6, 32}, {2, 1, 128}, {4, 2, 34}, {0, 2, 4}} {
		for _, inverse := range []bool{false, true} {
			t, h, d := s[0], s[1], s[2]
			all = append(all, check{"rope", fmt.Sprintf("T%d H%d D%d inverse=%v", t, h, d, inverse), layerTolerance,
				func(dev kernel.Device, in *source) []tensor {
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
	for _, n := range []int{0, 1, 15, 16, 17, 1000, 40000} {
		for _, spread := range []float64{1, 60} { // 60: sigmoid saturates on both sides
			name := fmt.Sprintf("n=%d spread=%v", n, spread)
			all = append(all, check{"swiglu", name, layerTolerance, func(dev kernel.Device, in *source) []tensor {
				y := in.output(n)
				dev.SwiGLU(y, in.normal(n, spread), in.normal(n, 1), n)
				return []tensor{{"y", y}}
			}})
			all = append(all, check{"swiglu backward", name, layerTolerance,
				func(dev kernel.Device, in *source) []tensor {
					dGate, dUp := in.output(n), in.output(n)
					dev.SwiGLUBackward(dGate, dUp, in.normal(n, 1), in.normal(n, spread), in.normal(n, 1), n)
					return []tensor{{"dGate", dGate}, {"dUp", dUp}}
				}})
		}
	}
	return all
}
