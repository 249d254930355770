package ptx

import "strings"

// Instructions on tiles, which a whole warp executes together.

// multiplyTile is mma: d = a·b + c with a (16, 16) by rows, b (16, 8) by columns, c and d (16, 8) in
// float32. Lane l holds, with g = l/4 and t = l%4: of a the pairs (row g or g+8, columns from 2t or 2t+8),
// of b the pairs (rows from 2t or 2t+8, column g), of c and d the rows g and g+8, columns 2t and 2t+1.
func (c *compiler) multiplyTile() exec {
	var h half
	switch c.in.op {
	case "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32":
		h = halfBF16
	case "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32":
		h = halfF16
	default:
		return nil
	}
	d, a, b, s := c.dstVec(0, 4), c.vec(1, 4), c.vec(2, 2), c.vec(3, 4)
	return func(w *warp, active uint32) error {
		if active != allLanes {
			return fault(Divergence, -1, "mma.sync by lanes %08x", active)
		}
		var A [16][16]float64
		var B [8][16]float64 // by column
		for l := range 32 {
			g, t := l/4, l%4*2
			for i, r := range a {
				A[g+i%2*8][t+i/2*8], A[g+i%2*8][t+i/2*8+1] = h.pair(w.regs[r][l])
			}
			for i, r := range b {
				B[g][t+i*8], B[g][t+i*8+1] = h.pair(w.regs[r][l])
			}
		}
		var out [4]lanes
		for l := range 32 {
			for i, r := range s {
				sum := float64(f32(w.regs[r][l]))
				row, column := &A[l/4+i/2*8], &B[l%4*2+i%2]
				for k, v := range row {
					sum += v * column[k]
				}
				out[i][l] = b32(float32(sum))
			}
		}
		for i, r := range d {
			w.regs[r] = out[i]
		}
		return nil
	}
}

// loadTile is ldmatrix: lane 8i+r gives the address of row r of matrix i, 8 rows of 16 bytes each. Lane l
// then holds, of each matrix, elements 2(l%4) and 2(l%4)+1 of row l/4, or of column l/4 with .trans.
func (c *compiler) loadTile() exec {
	rest, ok := strings.CutPrefix(c.in.op, "ldmatrix.sync.aligned.m8n8.")
	n := map[string]int{"x1": 1, "x2": 2, "x4": 4}[c.part(4)]
	trans := c.has("trans")
	rest = strings.TrimPrefix(strings.TrimPrefix(rest, c.part(4)), ".trans")
	if !ok || n == 0 || rest != ".shared.b16" && rest != ".shared::cta.b16" {
		return nil
	}
	dst := c.dstVec(0, n)
	addr, off := c.mem(1)
	return func(w *warp, active uint32) error {
		if active != allLanes {
			return fault(Divergence, -1, "ldmatrix by lanes %08x", active)
		}
		addresses := w.regs[addr]
		for i, d := range dst {
			var rows [8][]byte
			for r := range 8 {
				b, err := w.block.shared.access(w, i*8+r, addresses[i*8+r]+off, 16, readAccess)
				if err != nil {
					return err
				}
				rows[r] = b
			}
			if w.block.machine.Profile {
				w.block.machine.Stats.Conflicts += conflicts(255, addresses[i*8:i*8+8], off, 16)
			}
			w.takeTile(d, &rows, trans)
		}
		return nil
	}
}

func (w *warp) takeTile(d int, rows *[8][]byte, trans bool) {
	at := func(r, c int) uint64 { return getLE(rows[r][2*c : 2*c+2]) }
	for l := range 32 {
		r, c := l/4, l%4*2
		if trans {
			w.regs[d][l] = at(c, r) | at(c+1, r)<<16
		} else {
			w.regs[d][l] = at(r, c) | at(r, c+1)<<16
		}
	}
}
