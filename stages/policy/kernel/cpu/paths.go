package cpu

// Paged attention with pages of one slot: while decoding, keys and values of a row's context are scattered
// over the KV cache, and the row has the list of their slots. All heads that share keys and values (a group),
// of a few rows whose paths begin alike (a bunch), go through one chunk of slots before the next chunk, so the
// chunk stays in the L1 cache.

import (
	"math"

	"itool/stages/policy/kernel"
)

// decode is one call of AttendPaths. A part is the heads of one group of a bunch of rows.
type decode struct {
	heads
	out     []float32
	paths   [][]int32
	order   []int32 // all rows, bunch after bunch
	bunches []bunch
}

// bunch is rows whose paths begin with the same slots: each chunk of them is read once for all its rows, so that
// a long common prompt costs the memory's bandwidth once a bunch. What a row computes does not depend on its bunch.
type bunch struct {
	rows   []int32
	shared int // slots, a multiple of chunk
}

// bunchRows bounds the scores that a part holds.
const bunchRows = 8

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
	t.heads = heads{level: d.level, q: q.Host, k: k, v: v, h: h, g: g, d: dim,
		scale: float32(1 / math.Sqrt(float64(dim)))}
	t.out, t.paths = out.Host, paths
	t.bunch(d.pool.helpers + 1)
	d.pool.run(len(t.bunches)*g, 4*slots*h*dim, t)
	t.heads, t.out, t.paths = heads{}, nil, nil
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

// bunch puts the rows into bunches, with parts enough for the threads.
func (a *decode) bunch(threads int) {
	a.order, a.bunches = a.order[:0], a.bunches[:0]
	for r := range a.paths {
		a.order = append(a.order, int32(r))
	}
	most := min(len(a.paths)*a.g/(4*threads), bunchRows)
	for rest := a.order; len(rest) > 0; {
		first, n := a.paths[rest[0]], 1
		shared := len(first)
		// A path that has less in common is not worth its comparison. In a tree one slot tells.
		least := max(2*a.chunk(), len(first)/4)
		for i := 1; i < len(rest) && n < most && least <= len(first); i++ {
			path := a.paths[rest[i]]
			if len(path) < least || path[least-1] != first[least-1] {
				continue
			}
			if k := common(first, path); k >= least {
				rest[n], rest[i] = rest[i], rest[n]
				shared, n = min(shared, k), n+1
			}
		}
		a.bunches = append(a.bunches, bunch{rest[:n], shared / a.chunk() * a.chunk()})
		rest = rest[n:]
	}
}

// common is the number of slots that a and b begin with.
func common(a, b []int32) int {
	n := min(len(a), len(b))
	for i, slot := range a[:n] {
		if b[i] != slot {
			return i
		}
	}
	return n
}

// along is a row of a bunch while it attends. Its slots are those that its bunch shares and its own, whose offsets
// in k and v, in bytes, are in own.
type along struct {
	q, out []float32 // of the group's heads
	own    []int64
	scores []float32 // (heads of the group, slots)
	slots  int       // shared and own ones, with repetitions
}

func (a *decode) part(i int, s *scratch) {
	b, group := &a.bunches[i%len(a.bunches)], i/len(a.bunches)
	var memory [bunchRows]along
	rows := memory[:len(b.rows)]
	shared := a.begin(s, b, group, rows)
	for from := 0; from < b.shared; from += a.chunk() {
		for r := range rows {
			a.scores(&rows[r], from, shared[from:from+a.chunk()], group)
		}
	}
	for r := range rows {
		row := &rows[r]
		for from := 0; from < len(row.own); from += a.chunk() {
			a.scores(row, b.shared+from, row.own[from:min(from+a.chunk(), len(row.own))], group)
		}
		a.normalise(row, len(a.paths[b.rows[r]]))
	}
	sum := grow(&s.b, a.d)
	for from := 0; from < b.shared; from += a.chunk() {
		for r := range rows {
			a.mix(&rows[r], sum, from, shared[from:from+a.chunk()], group)
		}
	}
	for r := range rows {
		row := &rows[r]
		for from := 0; from < len(row.own); from += a.chunk() {
			a.mix(row, sum, b.shared+from, row.own[from:min(from+a.chunk(), len(row.own))], group)
		}
	}
}

// begin clears the results of a bunch's rows, gives each row its memory, and returns the offsets of the shared slots.
func (a *decode) begin(s *scratch, b *bunch, group int, rows []along) (shared []int64) {
	share, offsets, scores := a.h/a.g, b.shared, 0
	for i := range rows {
		n := fours(len(a.paths[b.rows[i]]))
		rows[i].slots = n
		offsets, scores = offsets+n-b.shared, scores+share*n
	}
	if cap(s.path) < offsets {
		s.path = make([]int64, offsets+offsets/4)
	}
	path, memory := s.path[:0], grow(&s.a, scores)
	path = a.offsets(path, a.paths[b.rows[0]][:b.shared])
	for i, r := range b.rows {
		row, at := &rows[i], (int(r)*a.h+group*share)*a.d
		row.q, row.out = a.q[at:at+share*a.d], a.out[at:at+share*a.d]
		clear(row.out)
		path = a.offsets(path, a.paths[r][b.shared:])
		row.own = path[len(path)-(row.slots-b.shared):]
		row.scores, memory = memory[:share*row.slots], memory[share*row.slots:]
	}
	return path[:b.shared]
}

// normalise makes probabilities of a row's scores, of n slots.
func (a *decode) normalise(row *along, n int) {
	for from := 0; from < len(row.scores); from += row.slots {
		p := row.scores[from : from+row.slots]
		top := a.level.max(p[:n]) * a.scale
		inverse := 1 / a.level.exp(p[:n], a.scale, top)
		a.level.scale(p[:n], inverse)
		clear(p[n:]) // the repeated slots have no weight
	}
}

// chunk is the number of slots that all heads of a group process before the next chunk, a multiple of four.
// Its rows, 16 KiB, stay in the L1 cache.
func (a *decode) chunk() int { return max(4, 4096/a.d&^3) }

// scores computes q · k along slots of a row, for every head of the group. They are its slots from the one with
// that number on; path holds their offsets in bytes.
func (a *decode) scores(row *along, from int, path []int64, group int) {
	one, two := a.level.pathScores, a.level.pathScores2
	if a.d%a.level.lanes != 0 {
		one, two = goPathScores, nil
	}
	for i := 0; i < len(row.q)/a.d; i++ {
		to := &row.scores[i*row.slots+from]
		if two != nil && (i+2)*a.d <= len(row.q) {
			two(to, row.slots, &row.q[i*a.d], &a.k[group*a.d], &path[0], len(path)/4, a.d)
			i++
		} else {
			one(to, &row.q[i*a.d], &a.k[group*a.d], &path[0], len(path)/4, a.d)
		}
	}
}

// mix computes out += p · v along slots of a row, for every head of the group. sum is memory for a head.
func (a *decode) mix(row *along, sum []float32, from int, path []int64, group int) {
	run := a.level.pathMix
	if a.d%a.level.lanes != 0 {
		run = goPathMix
	}
	for i := range len(row.q) / a.d {
		run(&sum[0], &row.scores[i*row.slots+from], &a.v[group*a.d], &path[0], len(path)/4, a.d)
		a.level.add(row.out[i*a.d:(i+1)*a.d], sum)
	}
}

// offsets appends where the slots of a path begin in k and v, in bytes. The kernels take four slots at once: the
// last one is repeated up to a multiple of four, and normalise gives these repetitions no weight.
func (a *decode) offsets(to []int64, path []int32) []int64 {
	step := int64(4 * a.g * a.d)
	for _, slot := range path {
		to = append(to, int64(slot)*step)
	}
	for range fours(len(path)) - len(path) {
		to = append(to, int64(path[len(path)-1])*step)
	}
	return to
}

// fours is the next multiple of four.
func fours(n int) int { return (n + 3) / 4 * 4 }
