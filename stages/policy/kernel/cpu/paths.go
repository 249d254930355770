package cpu

import (
	"math"
	"unsafe"
)

// decode is one call of AttendPaths; a part is one row.
type decode struct {
	heads
	out   []float32
	paths [][]int32
}

// AttendPaths attends along the slots of each row's path; an empty path gives zeros.
func (d *Device) AttendPaths(out, q, k, v []float32, paths [][]int32, h, g, dim int) {
	need("q", q, len(paths)*h*dim)
	need("out", out, len(paths)*h*dim)
	slots, longest := 0, int32(-1)
	for _, path := range paths {
		slots += len(path)
		for _, slot := range path {
			longest = max(longest, slot)
			if slot < 0 {
				panic("cpu: negative cache slot")
			}
		}
	}
	need("k", k, int(longest+1)*g*dim)
	need("v", v, int(longest+1)*g*dim)
	t := take[decode](&d.decodes)
	*t = decode{heads: heads{level: d.level, q: q, k: k, v: v, h: h, g: g, d: dim, scale: float32(1 / math.Sqrt(float64(dim)))}, out: out, paths: paths}
	d.pool.run(len(paths), 4*slots*h*dim, t)
	*t = decode{}
	d.decodes.Put(t)
}

func (a *decode) part(r int, s *scratch) {
	n := len(a.paths[r])
	if n == 0 {
		clear(a.out[r*a.h*a.d : (r+1)*a.h*a.d])
		return
	}
	path := a.pad(s, a.paths[r])
	scores := grow(&s.a, len(path))
	scoresOf, mix := a.level.pathScores, a.level.pathMix
	if a.d%a.level.lanes != 0 {
		scoresOf, mix = goPathScores, goPathMix
	}
	fours, step := len(path)/4, a.g*a.d
	for head := range a.h {
		group := head / (a.h / a.g)
		at := (r*a.h + head) * a.d
		scoresOf(&scores[0], &a.q[at], &a.k[group*a.d], &path[0], fours, step, a.d)
		top := a.level.max(scores[:n]) * a.scale
		inverse := 1 / a.level.exp(scores[:n], a.scale, top)
		clear(scores[n:])
		mix(&a.out[at], unsafe.SliceData(scores), &a.v[group*a.d], &path[0], fours, step, a.d)
		a.level.scale(a.out[at:at+a.d], inverse)
	}
}

// pad repeats the path's first slot, with weight 0, up to a multiple of four.
func (a *decode) pad(s *scratch, path []int32) []int32 {
	n := (len(path) + 3) / 4 * 4
	if cap(s.path) < n {
		s.path = make([]int32, n)
	}
	padded := s.path[:n]
	for i := copy(padded, path); i < n; i++ {
		padded[i] = path[0]
	}
	return padded
}
