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
//   - Memory belongs to the device: Floats are its numbers, Ints and Paths are copied to it by Send and
//     SendPaths. All matrices are row-major, dense float32. Sizes are arguments; memory may be longer than
//     its size needs.
//   - Batch invariance: a row's result has the same bits, no matter which other rows are in the
//     call, how many there are, and how many threads work.
//   - Outputs do not alias inputs unless the method says so. A method retains no argument after
//     the call, except Wrap.
//   - Wrong sizes panic: they are mistakes of the caller. User input is checked long before.
//   - A device that cannot go on panics with a *Failure, which Catch turns into an error.
//   - If an input of a result is NaN, the result is NaN, so that a diverging training is noticed.
//   - A Device may be used by many goroutines at once.
//
// Shape letters: T tokens (rows), N output features, K input features, H query heads, G key/value
// heads (H is a multiple of G), D head size, V vocabulary, R rows of queries. Types that group the
// arguments of attention and of the head are in memory.go.
package kernel

// Matrix is a weight on a device, which can multiply with it. Device.Pack and Device.Wrap make it.
type Matrix interface {
	Shape() (n, k int) // y = x·Wᵀ maps k features to n
}

// Out is one of several products of MatMuls: Y (T, N) = x · Wᵀ, or Y += … when Add is set. With a Bias (N)
// it is x · Wᵀ + Bias, and Add is not read.
type Out struct {
	Y    Floats
	W    Matrix
	Add  bool
	Bias Floats
}

// Device computes the engine's primitives.
type Device interface {
	// Name says what computes, such as "ref", "cpu/avx512", "cpu/avx2", "cpu/neon" or "cpu/go".
	Name() string

	// Floats reserves memory for n numbers, all zero.
	Floats(n int) Floats
	// Put is memory with the numbers of x. On a device that computes in the memory of the host it is x
	// itself, so that a change of one is a change of the other.
	Put(x []float32) Floats
	// Write copies src to the beginning of dst, and Read copies the beginning of src to dst: the only ways
	// for numbers into the memory of a device and out of it.
	Write(dst Floats, src []float32)
	Read(dst []float32, src Floats)
	// Send and SendPaths bring the device's copy of integers up to date.
	Send(i *Ints)
	SendPaths(p *Paths)

	// Copy copies all of src to the beginning of dst, Clear sets x to zero, Scale multiplies it.
	Copy(dst, src Floats)
	Clear(x Floats)
	Scale(x Floats, by float32)
	// ScaleRows: x[t] *= by[t]. x (T, K), by (T).
	ScaleRows(x, by Floats, t, k int)
	// SumRows: sum += Σ x[t], in the order of the rows. x (T, K), sum (K).
	SumRows(sum, x Floats, t, k int)
	// GatherRows: dst[i] = src[rows[i]], and ScatterRows: dst[rows[i]] = src[i], for all of rows; a row has k
	// numbers. No row may be twice in the rows of ScatterRows.
	GatherRows(dst, src Floats, rows Ints, k int)
	ScatterRows(dst, src Floats, rows Ints, k int)

	// Pack copies W (N, K) into the layout that MatMul reads. w may change afterwards.
	Pack(w Floats, n, k int) Matrix
	// Repack overwrites m with new values. Pack must have made m, with the same shape. It
	// allocates nothing.
	Repack(m Matrix, w Floats)
	// Wrap makes a matrix of a weight in its own type. A CPU retains w without copying it, and a product
	// converts it to float32 one slab of rows at a time. The results have the same bits as with
	// Pack of the converted weight.
	Wrap(w Weight) Matrix
	// Embed: y[i] = w[ids[i]] for all of ids. y (T, K). Wrap must have made w.
	Embed(y Floats, w Matrix, ids Ints)
	// EmbedBackward: dw[ids[i]] += by · dy[i], in the order of ids. dw (V, K), dy (T, K).
	EmbedBackward(dw, dy Floats, ids Ints, k int, by float32)

	// MatMul: y (T, N) = x (T, K) · Wᵀ, or y += … when add is set.
	MatMul(y, x Floats, w Matrix, t int, add bool)
	// MatMuls multiplies one x with several weights of the same K. The results have the same bits
	// as one MatMul for each; but x is read only once, and a device that rounds x rounds it once.
	MatMuls(outs []Out, x Floats, t int)
	// MatMulRows: dx (T, K) = dy (T, N) · W, or dx += … when add is set: the gradient of MatMul. Wrap must
	// have made w. On a device that computes in float32 the results have the same bits as Gemm with the
	// weight in float32.
	MatMulRows(dx, dy Floats, w Matrix, t int, add bool)

	// Gemm multiplies matrices that change at every step:
	// c (M, N) = alpha · op(a) (M, K) · op(b) (K, N) + (add ? c : 0).
	// When transA or transB is set, op is the transpose: a is then (K, M) in memory, b is (N, K).
	// The sum over K runs in one fixed order, for every M and N.
	Gemm(transA, transB bool, m, n, k int, alpha float32, a, b Floats, add bool, c Floats)

	// RMSNorm: y[t] = x[t] · rstd[t] · w, with rstd[t] = 1/√(mean(x[t]²) + eps).
	// x, y (T, K); w (K); rstd (T).
	RMSNorm(y, rstd, x, w Floats, t, k int, eps float32)
	// RMSNormBackward: dx += gradient; dw += gradient unless dw is none.
	// dx, dy, x (T, K); rstd (T) from the forward pass; w, dw (K).
	RMSNormBackward(dx, dw, dy, x, w, rstd Floats, t, k int)

	// RoPE rotates each head of x (T, H, D) in place by the angles of its position. The pairs are
	// (i, i + D/2), the layout of Hugging Face. cos, sin (positions, D/2); pos (T). inverse
	// rotates back, which is the gradient.
	RoPE(x, cos, sin Floats, pos Ints, t, h, d int, inverse bool)

	// SwiGLU: y = silu(gate) · up; all (n).
	SwiGLU(y, gate, up Floats, n int)
	// SwiGLUBackward computes dGate and dUp from dy; all (n).
	SwiGLUBackward(dGate, dUp, dy, gate, up Floats, n int)

	// Attention is causal self-attention over a packed batch: it fills a.Out and a.LSE. K and V have a row
	// for each row of the segments; those behind are not touched.
	Attention(a Attended, s Segments, h Heads)
	// AttentionBackward overwrites g.DK and g.DV for the rows of the segments, and g.DQ for the selected
	// rows. It recomputes the probabilities from a.LSE, so no T × T matrix is stored. dout has the selected
	// rows only, like a.Out.
	AttentionBackward(g AttentionGrad, dout Floats, a Attended, s Segments, h Heads)
	// AttendPaths is attention of tree decoding: row r of q (R, H, D) attends to the cache slots
	// p.Rows[r], in that order. An empty path gives zeros. out (R, H, D). A slot outside the cache panics,
	// or is a failure.
	AttendPaths(out, q Floats, cache KV, p Paths, h Heads)
	// AttendSuffix is Attention of the last r rows of one segment whose keys and values are in
	// cache slots: row i of the segment's rows is in slot path[i]. q, out (R, H, D). The results have the
	// same bits as Attention of the whole segment.
	AttendSuffix(out, q Floats, cache KV, path Ints, r int, h Heads)

	// LogProbs: for a row t with Targets[t] ≥ 0, lse[t] = log Σ exp(X[t]·Wᵀ) and
	// logp[t] = X[t]·W[Targets[t]] − lse[t]; rows with a negative target get 0. The
	// T × V logits are never in memory as a whole.
	LogProbs(logp, lse Floats, h Head)
	// LogProbsGrad is LogProbs, with the same bits, and also computes the gradient of each row's
	// log-probability by its x: grad (T, K) = W[target] − Σ softmax·W; rows with a negative target
	// get 0.
	LogProbsGrad(grad, logp, lse Floats, h Head)
	// LogProbsBackward is for a head that is trained: given dlogp (T), dx (T, K) += gradient and
	// dw (V, K) += gradient. Pack must have made h.W.
	LogProbsBackward(dx, dw, dlogp, lse Floats, h Head)

	// Sample draws what follows rows of x (R, K) by the head w, and fills in the results. The picks are in
	// ascending order of their rows.
	Sample(picks []Pick, x Floats, w Matrix)

	// AdamW updates w, m, v (n) in place with the gradient g·gscale and decoupled weight decay:
	// m = β1 m + (1-β1) g, v = β2 v + (1-β2) g²,
	// w -= rate · (decay·w + (m/c1) / (√(v/c2) + eps)).
	AdamW(w, m, v, g Floats, n int, s AdamW)

	// SumSquares returns Σ x² of all numbers of all xs, in float64, summed in one fixed order.
	SumSquares(xs []Floats) float64
}

// AdamW has the scalars of one optimiser step. C1 = 1 − β1ᵗ and C2 = 1 − β2ᵗ must be computed from
// the float32 values of β1 and β2: the kernel uses 1 − β of those, and 1 − 0.999 differs by 1e-5
// between float32 and float64.
type AdamW struct {
	Rate, Beta1, Beta2, Eps, Decay, GradScale float32
	C1, C2                                    float32
}
