package cuda

import "fmt"

// The launches of kernels that work on rows: norms, copies, embeddings, sums (norm.cu, rows.cu, sums.cu). Every
// argument is an address on the device, which is read later, in the order of the launches. Errors are those of a
// launch.

// rowBlock is the block of kernels with a block for each row.
var rowBlock = Dim{256, 1, 1}

// RMSNorm is that of kernel.Device: x, y (T, K), w (K), rstd (T), all float32.
func (d *Launcher) RMSNorm(y, rstd, x, w Address, t, k int, eps float32) error {
	return d.launch("rmsnorm", Dim{t, 1, 1}, rowBlock, 0, uint64(y), uint64(rstd), uint64(x), uint64(w), Int(k),
		Float(eps))
}

// RMSNormBackward is that of kernel.Device: dx += gradient, dw += gradient unless dw is 0.
func (d *Launcher) RMSNormBackward(dx, dw, dy, x, w, rstd Address, t, k int) error {
	err := d.launch("rmsnorm_backward", Dim{t, 1, 1}, rowBlock, 0, uint64(dx), uint64(dy), uint64(x), uint64(w),
		uint64(rstd), Int(k))
	if err != nil || dw == 0 {
		return err
	}
	return d.launch("rmsnorm_backward_weight", Dim{ceil(k, 32), 1, 1}, rowBlock, 0, uint64(dw), uint64(dy), uint64(x),
		uint64(rstd), Int(t), Int(k))
}

// GatherRows copies rows: y[r] = x[rows[r]] for r < n. A row has k values of 4 bytes; rows (n) int32.
func (d *Launcher) GatherRows(y, x, rows Address, n, k int) error {
	return d.launch("gather_rows", Dim{n, 1, 1}, rowBlock, 0, uint64(y), uint64(x), uint64(rows), Int(k))
}

// ScatterRows copies rows: y[rows[r]] = x[r] for r < n. No row may be there twice.
func (d *Launcher) ScatterRows(y, x, rows Address, n, k int) error {
	return d.launch("scatter_rows", Dim{n, 1, 1}, rowBlock, 0, uint64(y), uint64(x), uint64(rows), Int(k))
}

// Embed writes rows of a weight in float32: y[r] = w[ids[r]] for r < n; ids (n) int32.
func (d *Launcher) Embed(y Address, w Weight, ids Address, n int) error {
	grid, ld := Dim{n, 1, 1}, w.K
	var name string
	switch w.Type {
	case F32:
		name = "embed_f32"
	case F16:
		name = "embed_f16"
	case BF16:
		name, ld = "embed_bf16", Padded(w.K)
	case Int8:
		return d.launch("embed_int8", grid, rowBlock, 0, uint64(y), uint64(w.Data), uint64(w.Scales), uint64(ids),
			Int(w.K))
	default:
		return fmt.Errorf("cuda: embedding of a weight in %s: keep it in bf16", w.Type)
	}
	return d.launch(name, grid, rowBlock, 0, uint64(y), uint64(w.Data), uint64(ids), Int(w.K), Int(ld))
}

// SumRows adds the rows of x (T, K) to sum (K), in their order.
func (d *Launcher) SumRows(sum, x Address, t, k int) error {
	return d.launch("sum_rows", Dim{ceil(k, 64), 1, 1}, Dim{64, 1, 1}, 0, uint64(sum), uint64(x), Int(t), Int(k))
}

// EmbedBackward adds gradients to rows: dw[ids[r]] += dy[r] for r < n, in the order of r.
func (d *Launcher) EmbedBackward(dw, dy, ids Address, n, k int) error {
	return d.launch("embed_backward", Dim{n, 1, 1}, rowBlock, 0, uint64(dw), uint64(dy), uint64(ids), Int(n), Int(k))
}

// sumBlocks is the grid of sum_squares, on every device: the order of the sum must not depend on it.
const sumBlocks = 512

// SumSquares writes Σ x² of x (n) float32 to out, a float64.
func (d *Launcher) SumSquares(out, x Address, n int) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	parts, err := d.need(8 * sumBlocks)
	if err != nil {
		return err
	}
	err = d.launchLocked("sum_squares", Dim{sumBlocks, 1, 1}, rowBlock, 0, uint64(parts), uint64(x), Long(int64(n)))
	if err != nil {
		return err
	}
	return d.launchLocked("sum_parts", Dim{1, 1, 1}, rowBlock, 0, uint64(out), uint64(parts), Int(sumBlocks))
}
