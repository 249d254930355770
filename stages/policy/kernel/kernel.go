// Package kernel is the contract between the engine and a device: the few operations that cost
// time, with the shape of every argument.
//
// It computes nothing, apart from the types of weights. Package ref computes every operation with
// plain loops, cpu with assembly, and kerneltest is the one suite that every device must pass. A new
// device implements Device and runs kerneltest.Run against ref:
//
//	dev, err := cpu.New(cpu.Options{})
//	w := dev.Pack(weights, n, k)
//	dev.MatMul(y, x, w, t, false) // y (T, N) = x (T, K) · Wᵀ
//
// Rules that hold for every method:
//
//   - All matrices are row-major, dense float32. Sizes are arguments; a slice may be longer than
//     its size needs.
//   - Batch invariance: a row's result has the same bits, no matter which other rows are in the
//     call, how many there are, and how many threads work.
//   - Outputs do not alias inputs unless the method says so. A method retains no argument after
//     the call, except Pack and Wrap.
//   - Wrong sizes panic: they are mistakes of the caller. User input is checked long before.
//   - If an input of a result is NaN, the result is NaN, so that a diverging training is noticed.
//   - A Device may be used by many goroutines at once.
//
// Shape letters: T tokens (rows), N output features, K input features, H query heads, G key/value
// heads (H is a multiple of G), D head size, V vocabulary, R rows of queries.
package kernel

// Matrix is a weight that a device can multiply with. Device.Pack and Device.Wrap make it.
type Matrix interface {
	Shape() (n, k int) // y = x·Wᵀ maps k features to n
}

// Out is one of several products of MatMuls: Y (T, N) = x · Wᵀ, or += … when Add is set.
type Out struct {
	Y   []float32
	W   Matrix
	Add bool
}

// Device computes the engine's primitives.
type Device interface {
	// Name says what computes, such as "ref", "cpu/avx512", "cpu/avx2", "cpu/neon" or "cpu/go".
	Name() string

	// Pack copies W (N, K) into the layout that MatMul reads. w may change afterwards.
	Pack(w []float32, n, k int) Matrix
	// Repack overwrites m with new values. Pack must have made m, with the same shape. It
	// allocates nothing.
	Repack(m Matrix, w []float32)
	// Wrap makes a matrix of a weight without copying it: the device retains w, and a product
	// converts it to float32 one slab of rows at a time. The results have the same bits as with
	// Pack of the converted weight.
	Wrap(w Weight) Matrix
	// MatMul: y (T, N) = x (T, K) · Wᵀ, or y += … when add is set.
	MatMul(y, x []float32, w Matrix, t int, add bool)
	// MatMuls multiplies one x with several weights of the same K. The results have the same bits
	// as one MatMul for each; but x is read only once, and a device that rounds x rounds it once.
	MatMuls(outs []Out, x []float32, t int)
	// MatMulRows: dx (T, K) = dy (T, N) · W, or dx += … when add is set: the gradient of MatMul.
	// On a device that computes in float32 the results have the same bits as Gemm with the weight
	// in float32.
	MatMulRows(dx, dy []float32, w Weight, t int, add bool)

	// Gemm multiplies matrices that change at every step:
	// c (M, N) = alpha · op(a) (M, K) · op(b) (K, N) + (add ? c : 0).
	// When transA or transB is set, op is the transpose: a is then (K, M) in memory, b is (N, K).
	// The sum over K runs in one fixed order, for every M and N.
	Gemm(transA, transB bool, m, n, k int, alpha float32, a, b []float32, add bool, c []float32)

	// RMSNorm: y[t] = x[t] · rstd[t] · w, with rstd[t] = 1/√(mean(x[t]²) + eps).
	// x, y (T, K); w (K); rstd (T).
	RMSNorm(y, rstd, x, w []float32, t, k int, eps float32)
	// RMSNormBackward: dx += gradient; dw += gradient unless dw is nil.
	// dx, dy, x (T, K); rstd (T) from the forward pass; w, dw (K).
	RMSNormBackward(dx, dw, dy, x, w, rstd []float32, t, k int)

	// RoPE rotates each head of x (T, H, D) in place by the angles of its position. The pairs are
	// (i, i + D/2), the layout of Hugging Face. cos, sin (positions, D/2); pos (T). inverse
	// rotates back, which is the gradient.
	RoPE(x, cos, sin []float32, pos []int32, t, h, d int, inverse bool)

	// SwiGLU: y = silu(gate) · up; all (n).
	SwiGLU(y, gate, up []float32, n int)
	// SwiGLUBackward computes dGate and dUp from dy; all (n).
	SwiGLUBackward(dGate, dUp, dy, gate, up []float32, n int)

	// Attention is causal self-attention over a packed batch. Segment s is the rows cu[s] to
	// cu[s+1]−1; each of its rows sees the rows of the segment up to itself.
	// q, out (T, H, D); k, v (T, G, D); lse (T, H) receives the log-sum-exp of the scaled scores;
	// cu (segments + 1), cu[0] = 0. The last entry of cu is at most T; rows behind it are not
	// touched. The scale is 1/√D.
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
	// AttendPaths is attention of tree decoding: row r of q (R, H, D) attends to the cache slots
	// paths[r], in that order. An empty path gives zeros. k, v (slots, G, D); out (R, H, D). A
	// slot outside k and v panics.
	AttendPaths(out, q, k, v []float32, paths [][]int32, h, g, d int)
	// AttendSuffix is Attention of the last r rows of one segment whose keys and values are in
	// cache slots: row i of the segment's len(path) rows is in slot path[i]. q, out (R, H, D);
	// k, v (slots, G, D). The results have the same bits as Attention of the whole segment.
	AttendSuffix(out, q, k, v []float32, path []int32, r, h, g, d int)

	// LogProbs: for a row t with targets[t] ≥ 0, lse[t] = log Σ exp(x[t]·Wᵀ) and
	// logp[t] = x[t]·W[targets[t]] − lse[t]; rows with a negative target get 0. W (V, K). The
	// T × V logits are never in memory as a whole.
	LogProbs(logp, lse, x []float32, w Matrix, targets []int32, t int)
	// LogProbsGrad is LogProbs, with the same bits, and also computes the gradient of each row's
	// log-probability by its x: grad (T, K) = W[target] − Σ softmax·W; rows with a negative target
	// get 0. wRaw (V, K) is the weight as rows; it is not read when Wrap made w.
	LogProbsGrad(grad, logp, lse, x []float32, w Matrix, wRaw []float32, targets []int32, t int)
	// LogProbsBackward is for a head that is trained: given dlogp (T), dx (T, K) += gradient and
	// dw (V, K) += gradient. Pack must have made w; wRaw (V, K) is the weight as rows.
	LogProbsBackward(dx, dw, dlogp, lse, x []float32, w Matrix, wRaw []float32, targets []int32, t int)

	// AdamW updates w, m, v (n) in place with the gradient g·gscale and decoupled weight decay:
	// m = β1 m + (1-β1) g, v = β2 v + (1-β2) g²,
	// w -= rate · (decay·w + (m/c1) / (√(v/c2) + eps)).
	AdamW(w, m, v, g []float32, n int, s AdamW)

	// Parallel calls do(0) … do(n−1), on several threads at once if that pays. work is the
	// approximate number of operations of all calls together.
	Parallel(n, work int, do func(i int))

	// SumSquares returns Σ x² in float64, summed in one fixed order.
	SumSquares(x []float32) float64
}

// AdamW has the scalars of one optimiser step. C1 = 1 − β1ᵗ and C2 = 1 − β2ᵗ must be computed from
// the float32 values of β1 and β2: the kernel uses 1 − β of those, and 1 − 0.999 differs by 1e-5
// between float32 and float64.
type AdamW struct {
	Rate, Beta1, Beta2, Eps, Decay, GradScale float32
	C1, C2                                    float32
}
