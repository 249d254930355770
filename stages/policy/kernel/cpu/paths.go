package cpu

// Paged attention with pages of one slot: while decoding, keys and values of a row's context are scattered
// over the KV cache, and the row has the list of their slots. All heads that share keys and values (a group)
// go through one chunk of slots before the next chunk, so the chunk stays in the L1 cache.

import (
	"math"

	"itool/stages/policy/kernel"
)

// decode is one call of AttendPaths. A part is one row's heads of one group. The parts of a group follow
// each other: paths share their beginnings, so the group's keys and values stay in the L2 cache.
type decode struct {
	heads
	out   []float32
	paths [][]int32
}

// AttendPaths attends along the slots of each row's path; an empty path gives zeros. It panics if a slice is
// too short or a slot is negative: the kernels behind it check no bounds.
func (d *Device) AttendPaths(out, q kernel.Floats, cache kernel.KV, p kernel.Paths, n kernel.Heads) {
	k, v, paths, h, g, dim := cache.K.Host, cache.V.Host, p.Rows, n.H, n.G, n.D
	need("q", q.Host, len(paths)*h*dim)
	need("out", out.Host, len(paths)*h*dim)
	slots, all := 0, 0
	for _, path := range paths {
		slots += len(path)
		all = max(all, needPath(path))
	}
	need("k", k, all*g*dim)
	need("v", v, all*g*dim)
	t := d.decodes.take()
	*t = decode{heads: heads{level: d.level, q: q.Host, k: k, v: v, h: h, g: g, d: dim,
		scale: float32(1 / math.Sqrt(float64(dim)))}, out: out.Host, paths: paths}
	d.pool.run(len(paths)*g, 4*slots*h*dim, t)
	*t = decode{}
	d.decodes.put(t)
}

// needPath is the number of slots that k and v must have for a path: its largest slot and one more.
func needPath(path []int32) int {
	largest := int32(-1)
	for _, slot := range path {
		largest = max(largest, slot)
		if slot < 0 {
			panic("cpu: negative cache slot")
		}
	}
	return int(largest) + 1 // as int: one more than the largest int32 is not one
}

func (a *decode) part(i int, s *scratch) {
	group, r, share := i/len(a.paths), i%len(a.paths), a.h/a.g
	at := (r*a.h + group*share) * a.d
	out, n := a.out[at:at+share*a.d], len(a.paths[r])
	clear(out)
	if n == 0 {
		return
	}
	path := a.offsets(s, a.paths[r])
	scores := grow(&s.a, share*len(path)) // (heads of the group, slots)
	a.scores(scores, a.q[at:], path, group)
	for i := range share {
		p := scores[i*len(path) : (i+1)*len(path)]
		top := a.level.max(p[:n]) * a.scale
		inverse := 1 / a.level.exp(p[:n], a.scale, top)
		a.level.scale(p[:n], inverse)
		clear(p[n:]) // the repeated slots have no weight
	}
	a.mix(s, out, scores, path, group)
}

// chunk is the number of slots that all heads of a group process before the next chunk, a multiple of four.
// Its rows, 16 KiB, stay in the L1 cache.
func (a *decode) chunk() int { return max(4, 4096/a.d&^3) }

// scores computes q · k along the path, for every head of the group. path holds offsets in bytes.
func (a *decode) scores(scores, q []float32, path []int64, group int) {
	one, two := a.level.pathScores, a.level.pathScores2
	if a.d%a.level.lanes != 0 {
		one, two = goPathScores, nil
	}
	share := a.h / a.g
	for from := 0; from < len(path); from += a.chunk() {
		fours := min(a.chunk(), len(path)-from) / 4
		for i := 0; i < share; i++ {
			to := &scores[i*len(path)+from]
			if two != nil && i+1 < share {
				two(to, len(path), &q[i*a.d], &a.k[group*a.d], &path[from], fours, a.d)
				i++
			} else {
				one(to, &q[i*a.d], &a.k[group*a.d], &path[from], fours, a.d)
			}
		}
	}
}

// mix computes out += p · v along the path, for every head of the group.
func (a *decode) mix(s *scratch, out, p []float32, path []int64, group int) {
	run := a.level.pathMix
	if a.d%a.level.lanes != 0 {
		run = goPathMix
	}
	sum := grow(&s.b, a.d)
	for from := 0; from < len(path); from += a.chunk() {
		fours := min(a.chunk(), len(path)-from) / 4
		for i := range a.h / a.g {
			run(&sum[0], &p[i*len(path)+from], &a.v[group*a.d], &path[from], fours, a.d)
			a.level.add(out[i*a.d:(i+1)*a.d], sum)
		}
	}
}

// offsets returns where the slots of a path begin in k and v, in bytes. The kernels take four slots at once:
// the first slot is repeated up to a multiple of four, and part gives these repetitions no weight.
func (a *decode) offsets(s *scratch, path []int32) []int64 {
	n := (len(path) + 3) / 4 * 4
	if cap(s.path) < n {
		s.path = make([]int64, n+n/4)
	}
	all, step := s.path[:n], int64(4*a.g*a.d)
	for i, slot := range path {
		all[i] = int64(slot) * step
	}
	for i := len(path); i < n; i++ {
		all[i] = all[0]
	}
	return all
}
