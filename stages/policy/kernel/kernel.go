// Package kernel is the contract between the engine and a device: the few
// operations that cost time, with the shape of every argument.
//
// It computes nothing. ref holds the plain loops that judge all others, cpu the
// assembly, and kerneltest the one suite that every device passes.
//
// Rules that hold for every method:
//
//   - All matrices are row-major float32 and dense; sizes are arguments, a slice
//     may be longer than needed.
//   - Batch invariance: a row's result has the same bits whatever rows stand
//     beside it, however many there are, and however many threads work.
//   - Outputs never alias inputs unless the method says so. Nothing is retained
//     after the call, except by Pack and Wrap.
//   - Sizes are the caller's invariants: a wrong one panics. User input is
//     checked long before it gets here.
//   - A NaN among the inputs of a result makes the result NaN: divergence must show.
//   - A Device may be used by many goroutines at once.
//
// Shape letters: T tokens (rows), N output features, K input features, H query
// heads, G key/value heads (H is a multiple of G), D head size, V vocabulary.
package kernel

// Matrix is a weight to multiply with, made by Device.Pack or Device.Wrap.
type Matrix interface {
	Shape() (n, k int) // as given: y = x·Wᵀ maps k features to n
}

// Out is where one of several products with the same x goes: Y (T, N) = x · Wᵀ, or += … when
// Add is set.
type Out struct {
	Y   []float32
	W   Matrix
	Add bool
}

// Device computes the engine's primitives.
type Device interface {
	// Name says what runs, e.g. "ref", "cpu/avx512", "cpu/avx2", "cpu/neon", "cpu/go".
	Name() string

	// Pack lays out W (N, K) for MatMul. It copies; w may change afterwards.
	Pack(w []float32, n, k int) Matrix
	// Repack overwrites m, made by Pack with the same shape, with new values and
	// allocates nothing.
	Repack(m Matrix, w []float32)
	// Wrap makes a matrix of a weight that stays in its own form, which it retains: a
	// product widens it a slab at a time. Results have the bits that Pack of the
	// widened weight would give.
	Wrap(w Weight) Matrix
	// MatMul: y (T, N) = x (T, K) · Wᵀ, or y += … when add is set.
	MatMul(y, x []float32, w Matrix, t int, add bool)
	// MatMuls is MatMul of one x with several weights of the same K. The bits are those of
	// one call each; x is read, and by a device that rounds it rounded, once.
	MatMuls(outs []Out, x []float32, t int)
	// MatMulRows: dx (T, K) = dy (T, N) · W, or dx += … when add is set: the gradient
	// of MatMul. A device that computes in float32 gets the bits of Gemm on the widened
	// weight.
	MatMulRows(dx, dy []float32, w Weight, t int, add bool)

	// Gemm multiplies matrices that change at every step:
	// c (M, N) = alpha · op(a) (M, K) · op(b) (K, N) + (add ? c : 0).
	// op is the transpose when the flag is set: a is then stored (K, M), b (N, K).
	// The sum over K runs in one fixed order, whatever M and N.
	Gemm(transA, transB bool, m, n, k int, alpha float32, a, b []float32, add bool, c []float32)

	// RMSNorm: y[t] = x[t] · rstd[t] · w, rstd[t] = 1/√(mean(x[t]²) + eps).
	// x, y (T, K); w (K); rstd (T).
	RMSNorm(y, rstd, x, w []float32, t, k int, eps float32)
	// RMSNormBackward: dx += gradient; dw += gradient unless dw is nil.
	// dx, dy, x (T, K); rstd (T) from the forward pass; w, dw (K).
	RMSNormBackward(dx, dw, dy, x, w, rstd []float32, t, k int)

	// RoPE rotates, in place, each head of x (T, H, D) by the angles of its
	// position: pairs are (i, i + D/2), the Hugging Face layout. cos, sin
	// (positions, D/2); pos (T). inverse rotates back (the gradient).
	RoPE(x, cos, sin []float32, pos []int32, t, h, d int, inverse bool)

	// SwiGLU: y = silu(gate) · up; all (n).
	SwiGLU(y, gate, up []float32, n int)
	// SwiGLUBackward writes dGate and dUp from dy; all (n).
	SwiGLUBackward(dGate, dUp, dy, gate, up []float32, n int)

	// Attention is causal self-attention over packed segments: token t of a
	// segment [cu[s], cu[s+1]) sees the tokens of the same segment up to itself.
	// out, q (T, H, D); k, v (T, G, D); lse (T, H) gets the log-sum-exp of the
	// scaled scores; cu (segments + 1), cu[0] = 0, its last entry ≤ T; rows behind it are
	// left alone. The scale is 1/√D.
	//
	// mask (2 · segments), the shared-prefix mask, lets two sequences share one prefix: a
	// segment is prefix, first ending, second ending. The rows of segment s from mask[2s+1] on
	// (the second ending) do not see the rows mask[2s] to mask[2s+1]−1 (the first ending). Both
	// lie within the segment, in ascending order; both at its end mean no mask, as does a nil
	// slice. A row's result has the same bits as if the rows that it does not see did not exist.
	//
	// selected (segments), nil for all rows: in segment s the rows from selected[s] to the
	// segment's end are selected. Only they are computed: q, out and lse have only these rows,
	// one segment's behind the other's.
	Attention(out, lse, q, k, v []float32, cu, mask, selected []int32, h, g, d int)
	// AttentionBackward overwrites dk and dv for the rows in cu, and dq for the selected rows. It
	// recomputes the probabilities from lse, so no T × T matrix is stored. dout has the selected
	// rows only, like out.
	AttentionBackward(dq, dk, dv, dout, out, lse, q, k, v []float32, cu, mask, selected []int32, h, g, d int)
	// AttendPaths is attention while decoding along a tree: row r of q (R, H, D)
	// sees the cache slots paths[r], in that order; an empty path gives zeros.
	// k, v (slots, G, D); out (R, H, D). Slots outside k and v panic.
	AttendPaths(out, q, k, v []float32, paths [][]int32, h, g, d int)
	// AttendSuffix is Attention of the last r rows of a segment whose keys and values lie in
	// cache slots: row i of its n = len(path) rows in slot path[i]. k, v (slots, G, D); q, out
	// (R, H, D). The rows have the bits that Attention of the whole segment gives them.
	AttendSuffix(out, q, k, v []float32, path []int32, r, h, g, d int)

	// LogProbs: for row t with targets[t] ≥ 0, logp[t] = log softmax(x[t]·Wᵀ)[targets[t]]
	// and lse[t] = log Σ exp; rows with a negative target get 0. W (V, K). The
	// T × V logits never exist as a whole.
	LogProbs(logp, lse, x []float32, w Matrix, targets []int32, t int)
	// LogProbsGrad is LogProbs, to the same bits, and writes the gradient of each row's log-probability by its
	// x: grad (T, K) = W[target] − Σ softmax·W; 0 for rows with a negative target. wRaw (V, K) is the weight as rows; it
	// is not read when w was made by Wrap.
	LogProbsGrad(grad, logp, lse, x []float32, w Matrix, wRaw []float32, targets []int32, t int)
	// LogProbsBackward is for a head that is trained: given dlogp (T), dx (T, K) += gradient and
	// dw (V, K) += gradient. w was made by Pack; wRaw (V, K) is the weight as rows.
	LogProbsBackward(dx, dw, dlogp, lse, x []float32, w Matrix, wRaw []float32, targets []int32, t int)

	// AdamW updates w, m, v (n) in place with gradient g·gscale; decoupled decay:
	// m = β1 m + (1-β1) g, v = β2 v + (1-β2) g²,
	// w -= rate · (decay·w + (m/c1) / (√(v/c2) + eps)).
	AdamW(w, m, v, g []float32, n int, s AdamW)

	// Parallel calls do(0) … do(n−1), on several threads at once if that is worth it: work is
	// the number of operations of all, roughly.
	Parallel(n, work int, do func(i int))

	// SumSquares returns Σ x² in float64, in one fixed order.
	SumSquares(x []float32) float64
}

// AdamW are the scalars of one optimiser step. C1 = 1 − β1ᵗ, C2 = 1 − β2ᵗ, computed
// from the float32 values of β1 and β2: the kernel uses 1 − β of those, and 1 − 0.999
// differs by 1e-5 between float32 and float64.
type AdamW struct {
	Rate, Beta1, Beta2, Eps, Decay, GradScale float32
	C1, C2                                    float32
}
