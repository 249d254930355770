package cuda

import "fmt"

// The head goes through the vocabulary in chunks of headTokens and through rows in chunks of headRows, so
// that logits take at most 32 MiB. The chunks of the vocabulary are the same for every number of rows, and
// so are the bits of a row.
const (
	headTokens = 8192
	headRows   = 1024
)

// Head is the weight of a head and the rows that meet it.
type Head struct {
	X       Address // (T, K) float32
	W       Weight  // (V, K)
	Targets Address // (T) int32; negative for none
	T       int
}

// headWork are the places in scratch memory of one chunk of rows.
type headWork struct{ x, logits, gradient, state Address }

// LogProbs is that of kernel.Device: logp and lse (T) float32, 0 for rows without a target.
func (d *Launcher) LogProbs(logp, lse Address, h Head) error {
	return d.eachHeadRows(h, func(w headWork, part Head, at int) error {
		return d.logProbs(logp.At(at, 4), lse.At(at, 4), w, part)
	})
}

// LogProbsGrad is that of kernel.Device: grad (T, K) = W[target] − Σ softmax·W.
func (d *Launcher) LogProbsGrad(grad, logp, lse Address, h Head) error {
	return d.eachHeadRows(h, func(w headWork, part Head, at int) error {
		if err := d.logProbs(logp.At(at, 4), lse.At(at, 4), w, part); err != nil {
			return err
		}
		return d.headGradient(w, part, lse.At(at, 4), 0, func(v, n int, chunk Weight) error {
			return d.product(rowsTimes(grad.At(at*h.W.K, 4), w.gradient, chunk, part.T, v > 0))
		})
	})
}

// LogProbsBackward is that of kernel.Device: dx (T, K) and dw (V, K) += gradient, given dlogp (T). The head
// is in bf16.
func (d *Launcher) LogProbsBackward(dx, dw, dlogp, lse Address, h Head) error {
	if h.W.Type != BF16 {
		return fmt.Errorf("cuda: the gradient of a head in %s: a head that is trained is in bf16", h.W.Type)
	}
	return d.eachHeadRows(h, func(w headWork, part Head, at int) error {
		return d.headGradient(w, part, lse.At(at, 4), dlogp.At(at, 4), func(v, n int, chunk Weight) error {
			if err := d.product(rowsTimes(dx.At(at*h.W.K, 4), w.gradient, chunk, part.T, true)); err != nil {
				return err
			}
			return d.product(product{layout: bf16TransKN, y: dw.At(v*h.W.K, 4), a: w.gradient, b: w.x, m: n, n: h.W.K,
				k: part.T, lda: Padded(n), ldb: Padded(h.W.K), add: true, alpha: 1})
		})
	})
}

// eachHeadRows calls do for chunks of rows, each with its rows rounded to bf16; at is a chunk's first row.
func (d *Launcher) eachHeadRows(h Head, do func(w headWork, part Head, at int) error) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	rows, tokens := min(h.T, headRows), min(Padded(h.W.N), headTokens)
	sizes := [4]int{2 * rows * Padded(h.W.K), 4 * rows * tokens, 2 * rows * tokens, 12 * rows}
	var begins [4]Address
	total := 0
	for i, s := range sizes {
		begins[i] = Address(total)
		total += (s + 255) &^ 255
	}
	scratch, err := d.need(int64(max(total, 1)))
	if err != nil {
		return err
	}
	w := headWork{x: scratch, logits: scratch + begins[1], gradient: scratch + begins[2], state: scratch + begins[3]}
	for at := 0; at < h.T; at += headRows {
		part := h
		part.T, part.Targets = min(headRows, h.T-at), h.Targets.At(at, 4)
		if err := d.toBF16(w.x, h.X.At(at*h.W.K, 4), part.T, h.W.K); err != nil {
			return err
		}
		if err := do(w, part, at); err != nil {
			return err
		}
	}
	return nil
}

// eachChunk computes the logits of one chunk of the vocabulary after the other; v is its first token.
func (d *Launcher) eachChunk(w headWork, h Head, do func(v, n int, chunk Weight) error) error {
	for v := 0; v < h.W.N; v += headTokens {
		n := min(headTokens, h.W.N-v)
		chunk := h.W.rows(v, n)
		if err := d.product(forward(Out{Y: w.logits, W: chunk}, w.x, h.T)); err != nil {
			return err
		}
		if err := do(v, n, chunk); err != nil {
			return err
		}
	}
	return nil
}

func (d *Launcher) logProbs(logp, lse Address, w headWork, h Head) error {
	err := d.eachChunk(w, h, func(v, n int, _ Weight) error {
		return d.launchLocked("head_add", Dim{h.T, 1, 1}, rowBlock, 0, uint64(w.state), uint64(w.logits),
			uint64(h.Targets), Int(v), Int(n))
	})
	if err != nil {
		return err
	}
	return d.launchLocked("head_finish", Dim{ceil(h.T, 256), 1, 1}, rowBlock, 0, uint64(logp), uint64(lse),
		uint64(w.state), uint64(h.Targets), Int(h.T))
}

// headGradient computes the gradient by the logits of each chunk, times scale (T) unless it is 0, and calls
// do with it in w.gradient.
func (d *Launcher) headGradient(w headWork, h Head, lse, scale Address, do func(v, n int, chunk Weight) error) error {
	return d.eachChunk(w, h, func(v, n int, chunk Weight) error {
		err := d.launchLocked("head_gradient", Dim{h.T, 1, 1}, rowBlock, 0, uint64(w.gradient), uint64(w.logits),
			uint64(lse), uint64(h.Targets), uint64(scale), Int(v), Int(n), Int(Padded(n)))
		if err != nil {
			return err
		}
		return do(v, n, chunk)
	})
}

// rowsTimes is y (T, K) = x (T, N) · W, for x in bf16.
func rowsTimes(y, x Address, w Weight, t int, add bool) product {
	l := map[Type]layout{BF16: bf16KN, Int8: int8KN, NF4: nf4KN}[w.Type]
	return product{layout: l, y: y, a: x, b: w.Data, scales: w.Scales, m: t, n: w.K, k: w.N, lda: Padded(w.N),
		ldb: Padded(w.K), add: add, half: w.Half, alpha: 1}
}

// rows is the weight's part of n rows from row v on, a multiple of 64.
func (w Weight) rows(v, n int) Weight {
	part := w
	part.N = n
	switch w.Type {
	case Int8:
		part.Data, part.Scales = w.Data.At(v*w.K, 1), w.Scales.At(v*ceil(w.K, 32), 2)
	case NF4:
		part.Data, part.Scales = w.Data.At(v*w.K/2, 1), w.Scales.At(v*w.K/64, 4)
	default:
		part.Data = w.Data.At(v*Padded(w.K), 2)
	}
	return part
}

// Setting is how a row is sampled, by the rules of package sample. In device memory it has 16 bytes:
// temperature, top-p and min-p in float32, top-k in int32. 0 means greedy for the temperature, and all
// tokens for the others.
type Setting struct {
	Temperature, TopP, MinP float32
	TopK                    int32
}

// Sampled are the results of Sample: IDs (R) int32, LogP (R) float32.
type Sampled struct{ IDs, LogP Address }

// Sample draws a token for each row of x (R, K) float32 with the head w. settings has R of Setting; u (R)
// float64 are numbers in 0..1 of each row's own random source, drawn by the host. The tokens that the
// settings leave are those of package sample; they are drawn in the order of their ids. Logits stay in
// scratch memory, those of 64 rows at a time.
func (d *Launcher) Sample(out Sampled, x Address, w Weight, settings, u Address, r int) error {
	const rows = 64
	d.mu.Lock()
	defer d.mu.Unlock()
	most := min(r, rows)
	logits := int64(4*most*w.N+255) &^ 255
	rounded, err := d.need(logits + int64(max(16, 2*most*Padded(w.K))))
	if err != nil {
		return err
	}
	rounded += Address(logits)
	for at := 0; at < r; at += rows {
		n := min(rows, r-at)
		if err := d.toBF16(rounded, x.At(at*w.K, 4), n, w.K); err != nil {
			return err
		}
		if err := d.product(forward(Out{Y: d.scratch, W: w}, rounded, n)); err != nil {
			return err
		}
		err := d.launchLocked("sample", Dim{n, 1, 1}, Dim{512, 1, 1}, 0, uint64(out.IDs.At(at, 4)),
			uint64(out.LogP.At(at, 4)), uint64(d.scratch), uint64(settings.At(at, 16)), uint64(u.At(at, 8)), Int(w.N))
		if err != nil {
			return err
		}
	}
	return nil
}
