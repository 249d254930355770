package cpu

// The level "go": plain Go with the same blocking as the assembly, for other machines and as its simplest
// version.

import (
	"math"
	"unsafe"
)

// goLevel runs everywhere. Its tile is small enough for sixteen scalar registers.
var goLevel = &level{
	name: "go", tileRows: 2, tileCols: 4, lanes: 1,
	tiles:    []tileFunc{1: goTile1, 2: goTile2},
	packRows: goPackRows, packStep: 4, packColumns: packColumnsTo(4),
	exp: goExp, max: goMax, dot: goDot, dot3: goDot3, scale: goScale, add: goAdd,
	norm: goNorm, normGrad: goNormGrad, mulAdd: goMulAdd, softmaxGrad: goSoftmaxGrad,
	silu: goSilu, siluGrad: goSiluGrad, rope: goRope, adamw: goAdamW, sumSquares: goSumSquares,
	pathScores: goPathScores, pathMix: goPathMix,
}

func goTile1(k int, a *float32, aRow, aStep int, b *float32, bStep int,
	c *float32, cRow, cols int, alpha float32, add int) {
	goTile(1, k, a, aRow, aStep, b, bStep, c, cRow, cols, alpha, add)
}

func goTile2(k int, a *float32, aRow, aStep int, b *float32, bStep int,
	c *float32, cRow, cols int, alpha float32, add int) {
	goTile(2, k, a, aRow, aStep, b, bStep, c, cRow, cols, alpha, add)
}

// goTile computes two rows even when one is wanted (the first, twice), so that one
// row and two go through the same instructions and get the same bits.
func goTile(rows, k int, a *float32, aRow, aStep int, b *float32, bStep int,
	c *float32, cRow, cols int, alpha float32, add int) {
	if k == 0 {
		return
	}
	second := (rows - 1) * aRow
	left := unsafe.Slice(a, second+(k-1)*aStep+1)
	right := unsafe.Slice(b, (k-1)*bStep+4)
	var s0, s1, s2, s3, t0, t1, t2, t3 float32
	for p := range k {
		x, y := left[p*aStep], left[second+p*aStep]
		r := right[p*bStep : p*bStep+4 : p*bStep+4]
		s0 += x * r[0]
		s1 += x * r[1]
		s2 += x * r[2]
		s3 += x * r[3]
		t0 += y * r[0]
		t1 += y * r[1]
		t2 += y * r[2]
		t3 += y * r[3]
	}
	out := unsafe.Slice(c, (rows-1)*cRow+cols)
	for i, sums := range [2][4]float32{{s0, s1, s2, s3}, {t0, t1, t2, t3}} {
		if i == rows {
			return
		}
		for j := range cols {
			v := float32(alpha * sums[j]) // rounded: no fused add on any architecture
			if add != 0 {
				v += out[i*cRow+j]
			}
			out[i*cRow+j] = v
		}
	}
}

func goPackRows(dst *float32, dstStep int, src *float32, srcStep, rows, width int) {
	if rows == 0 {
		return
	}
	to := unsafe.Slice(dst, rows*dstStep)
	from := unsafe.Slice(src, (rows-1)*srcStep+width)
	for r := range rows {
		n := copy(to[r*dstStep:(r+1)*dstStep], from[r*srcStep:r*srcStep+width])
		clear(to[r*dstStep+n : (r+1)*dstStep])
	}
}

// packColumnsTo returns packColumns for panels of cols columns.
func packColumnsTo(cols int) func(dst *float32, src *float32, srcRow, k, width int) {
	return func(dst *float32, src *float32, srcRow, k, width int) {
		to := unsafe.Slice(dst, k*cols)
		from := unsafe.Slice(src, (width-1)*srcRow+k)
		for j := range cols {
			if j >= width {
				for p := range k {
					to[p*cols+j] = 0
				}
				continue
			}
			for p, v := range from[j*srcRow : j*srcRow+k] {
				to[p*cols+j] = v
			}
		}
	}
}

func goExp(x []float32, scale, bias float32) float32 {
	var sum float32
	for i, v := range x {
		x[i] = float32(math.Exp(float64(v)*float64(scale) - float64(bias)))
		sum += x[i]
	}
	return sum
}

func goMax(x []float32) float32 {
	top := float32(-math.MaxFloat32)
	for _, v := range x {
		top = max(top, v)
	}
	return top
}

func goDot(a, b []float32) float32 {
	var sum float32
	for i, v := range a {
		sum += v * b[i]
	}
	return sum
}

func goDot3(a, b, c []float32) float32 {
	var sum float32
	for i, v := range a {
		sum += v * b[i] * c[i]
	}
	return sum
}

func goScale(x []float32, a float32) {
	for i := range x {
		x[i] *= a
	}
}

func goAdd(y, x []float32) {
	for i := range y {
		y[i] += x[i]
	}
}

func goNorm(y, x, w []float32, a float32) {
	for i := range y {
		y[i] = x[i] * a * w[i]
	}
}

func goNormGrad(dx, dy, w, x []float32, a, c float32) {
	for i := range dx {
		dx[i] += a*(dy[i]*w[i]) - c*x[i]
	}
}

func goMulAdd(y, p, q []float32, a float32) {
	for i := range y {
		y[i] += a * (p[i] * q[i])
	}
}

func goSoftmaxGrad(dp, p []float32, delta, scale float32) {
	for i := range dp {
		dp[i] = (dp[i] - delta) * p[i] * scale
	}
}

func sigmoid(x float32) float32 { return float32(1 / (1 + math.Exp(-float64(x)))) }

func goSilu(y, gate, up []float32) {
	for i, g := range gate {
		y[i] = g * sigmoid(g) * up[i]
	}
}

func goSiluGrad(dGate, dUp, dy, gate, up []float32) {
	for i, g := range gate {
		s := sigmoid(g)
		d := dy[i] * s
		dUp[i] = d * g
		dGate[i] = d * up[i] * (1 + g*(1-s))
	}
}

func goRope(a, b, cos, sin []float32, sign float32) {
	for i := range a {
		c, s := cos[i], sin[i]*sign
		a[i], b[i] = a[i]*c-b[i]*s, b[i]*c+a[i]*s
	}
}

func goAdamW(w, m, v, g []float32, b1, r1, b2, r2, gradScale, rate, decay, inverseC1, inverseC2, eps float32) {
	for i := range w {
		grad := g[i] * gradScale
		m[i] = b1*m[i] + r1*grad
		v[i] = b2*v[i] + r2*(grad*grad)
		root := float32(math.Sqrt(float64(v[i] * inverseC2)))
		w[i] -= rate * (m[i]*inverseC1/(root+eps) + decay*w[i])
	}
}

func goSumSquares(x []float32) float64 {
	var sum float64
	for _, v := range x {
		sum += float64(v) * float64(v)
	}
	return sum
}

func goPathScores(scores, q, k *float32, path *int64, fours, d int) {
	row := unsafe.Slice(q, d)
	out := unsafe.Slice(scores, 4*fours)
	for j, bytes := range unsafe.Slice(path, 4*fours) {
		out[j] = goDot(row, unsafe.Slice((*float32)(unsafe.Add(unsafe.Pointer(k), bytes)), d))
	}
}

func goPathMix(out, p, v *float32, path *int64, fours, d int) {
	sum := unsafe.Slice(out, d)
	clear(sum)
	weights := unsafe.Slice(p, 4*fours)
	for j, bytes := range unsafe.Slice(path, 4*fours) {
		for c, x := range unsafe.Slice((*float32)(unsafe.Add(unsafe.Pointer(v), bytes)), d) {
			sum[c] += weights[j] * x
		}
	}
}
