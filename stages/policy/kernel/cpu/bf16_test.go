package cpu

import (
	"math"
	"sync/atomic"
	"testing"
	"unsafe"

	"itool/stages/policy/kernel"
	"itool/stages/policy/kernel/kerneltest"
	"itool/stages/policy/kernel/ref"
)

// TestBF16Layout runs the suite with the packing of bf16 products on machines
// without instructions for them: the same blocks, with plain loops in place of the assembly.
func TestBF16Layout(t *testing.T) {
	kerneltest.RunBF16(t, twinDevice(), ref.New())
}

func twinDevice() *Device {
	l := *levels()[0]
	l.name = "twin"
	l.bf16 = &bf16Kernels{row: twinRow, pairs: twinPairs, turn: twinTurn, tiles: twinTiles, out: twinOut}
	return &Device{level: &l, pool: newPool(3)}
}

func words(p *float32, n int) []uint32 { return unsafe.Slice((*uint32)(unsafe.Pointer(p)), n) }

func twinBF16(x float32) uint32 {
	bits := math.Float32bits(x)
	if x != x {
		return bits>>16 | 0x40
	}
	return (bits + 0x7fff + bits>>16&1) >> 16
}

// The left factor of several weights, or of a wrapped one in slabs, must be rounded only once.
func TestRoundsOnce(t *testing.T) {
	const rows, k = 70, 8192
	d := twinDevice()
	var rounded atomic.Int64
	d.level.bf16.row = func(dst, src *float32, k int) {
		rounded.Add(1)
		twinRow(dst, src, k)
	}
	for _, wrapped := range []bool{false, true} {
		var outs []kernel.Out
		want := int64(rows)
		for _, n := range []int{64, 32, 100} { // 64 rows are a slab
			w := &kernel.BF16{N: n, K: k, Data: make([]byte, 2*n*k)}
			m := d.Wrap(w)
			if wrapped {
				want += int64(n) // the weight's own
			} else {
				m = d.Pack(kernel.Host(kernel.Widened(w)), n, k)
			}
			outs = append(outs, kernel.Out{Y: d.Floats(rows * n), W: m})
		}
		rounded.Store(0)
		d.MatMuls(outs, d.Floats(rows*k), rows)
		if got := rounded.Load(); got != want {
			t.Errorf("wrapped %v: %d rows were rounded, want %d", wrapped, got, want)
		}
		n, _ := outs[2].W.Shape()
		rounded.Store(0)
		d.MatMul(outs[2].Y, d.Floats(rows*k), outs[2].W, rows, false)
		if want = rows; wrapped {
			want += int64(n)
		}
		if got := rounded.Load(); got != want {
			t.Errorf("one, wrapped %v: %d rows were rounded, want %d", wrapped, got, want)
		}
	}
}

func twinRow(dst, src *float32, k int) {
	x := unsafe.Slice(src, k)
	steps := bf16Steps(k)
	to := words(dst, (steps-1)*stepFloats+16)
	for p := range steps * blockRows / 2 {
		var word uint32
		for i := range 2 {
			if at := 2*p + i; at < k {
				word |= twinBF16(x[at]) << (16 * i)
			}
		}
		to[p/16*stepFloats+p%16] = word
	}
}

func twinPairs(dst, src *float32, srcRow, k, width int) {
	x := unsafe.Slice(src, (k-1)*srcRow+width)
	to := words(dst, bf16Steps(k)*stepFloats)
	for p := range (k + 1) / 2 {
		for j := range blockRows {
			var word uint32
			for i := range 2 {
				if at := 2*p + i; at < k && j < width {
					word |= twinBF16(x[at*srcRow+j]) << (16 * i)
				}
			}
			to[p/16*stepFloats+j/16*256+p%16*16+j%16] = word
		}
	}
}

func twinTurn(tiles *float32, n int) {
	w := words(tiles, 256*n)
	for ; len(w) > 0; w = w[256:] {
		for i := range 16 {
			for j := range i {
				w[16*i+j], w[16*j+i] = w[16*j+i], w[16*i+j]
			}
		}
	}
}

// twinTiles adds the even and the odd k of a step apart, as the unit does.
func twinTiles(a, b, acc *float32, steps, panels, bPanel, add, _ int) {
	left, right := words(a, steps*stepFloats), words(b, (panels-1)*bPanel+steps*stepFloats)
	sums := unsafe.Slice(acc, panels*blockRows*blockRows)
	if add == 0 {
		clear(sums)
	}
	value := func(word uint32, i int) float32 { return math.Float32frombits(word >> (16 * i) << 16) }
	for n := range panels {
		for s := range steps {
			for i := range blockRows {
				for j := range blockRows {
					var pair [2]float32
					for p := range 16 {
						x, y := left[s*stepFloats+i*16+p], right[n*bPanel+s*stepFloats+j/16*256+p*16+j%16]
						pair[0] += value(x, 0) * value(y, 0)
						pair[1] += value(x, 1) * value(y, 1)
					}
					sums[(n*blockRows+i)*blockRows+j] += pair[0] + pair[1]
				}
			}
		}
	}
}

func twinOut(c *float32, cRow int, acc *float32, rows, cols int, alpha float32, add int) {
	to, sums := unsafe.Slice(c, (rows-1)*cRow+cols), unsafe.Slice(acc, blockRows*blockRows)
	for i := range rows {
		for j := range cols {
			v := float32(alpha * sums[i*blockRows+j])
			if add != 0 {
				v += to[i*cRow+j]
			}
			to[i*cRow+j] = v
		}
	}
}
