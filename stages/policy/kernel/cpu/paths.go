package cpu

import "math"

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
	slots, all := 0, 0
	for _, path := range paths {
		slots += len(path)
		all = max(all, needPath(path))
	}
	need("k", k, all*g*dim)
	need("v", v, all*g*dim)
	t := d.decodes.take()
	*t = decode{heads: heads{level: d.level, q: q, k: k, v: v, h: h, g: g, d: dim, scale: float32(1 / math.Sqrt(float64(dim)))}, out: out, paths: paths}
	d.pool.run(len(paths), 4*slots*h*dim, t)
	*t = decode{}
	d.decodes.put(t)
}

// needPath is how many slots there must be for a path.
func needPath(path []int32) int {
	longest := int32(-1)
	for _, slot := range path {
		longest = max(longest, slot)
		if slot < 0 {
			panic("cpu: negative cache slot")
		}
	}
	return int(longest + 1)
}

func (a *decode) part(r int, s *scratch) {
	clear(a.out[r*a.h*a.d : (r+1)*a.h*a.d])
	n, share := len(a.paths[r]), a.h/a.g
	if n == 0 {
		return
	}
	path := a.pad(s, a.paths[r])
	scores := grow(&s.a, share*len(path)) // (heads of a group, slots)
	for group := range a.g {
		a.scores(scores, path, r, group)
		for i := range share {
			p := scores[i*len(path) : (i+1)*len(path)]
			top := a.level.max(p[:n]) * a.scale
			inverse := 1 / a.level.exp(p[:n], a.scale, top)
			a.level.scale(p[:n], inverse)
			clear(p[n:])
		}
		a.mix(s, scores, path, r, group)
	}
}

// chunk is how many slots all heads of a group visit before the next: their rows,
// 16 KiB, stay in the first-level cache.
func (a *decode) chunk() int { return max(4, 4096/a.d&^3) }

// scores: q · k along the path, for every head of the group.
func (a *decode) scores(scores []float32, path []int32, r, group int) {
	run := a.level.pathScores
	if a.d%a.level.lanes != 0 {
		run = goPathScores
	}
	share := a.h / a.g
	for from := 0; from < len(path); from += a.chunk() {
		slots := min(a.chunk(), len(path)-from)
		for i := range share {
			run(&scores[i*len(path)+from], &a.q[(r*a.h+group*share+i)*a.d], &a.k[group*a.d], &path[from], slots/4, a.g*a.d, a.d)
		}
	}
}

// mix: out += p · v along the path, for every head of the group.
func (a *decode) mix(s *scratch, p []float32, path []int32, r, group int) {
	run := a.level.pathMix
	if a.d%a.level.lanes != 0 {
		run = goPathMix
	}
	share, sum := a.h/a.g, grow(&s.b, a.d)
	for from := 0; from < len(path); from += a.chunk() {
		slots := min(a.chunk(), len(path)-from)
		for i := range share {
			at := (r*a.h + group*share + i) * a.d
			run(&sum[0], &p[i*len(path)+from], &a.v[group*a.d], &path[from], slots/4, a.g*a.d, a.d)
			a.level.add(a.out[at:at+a.d], sum)
		}
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
