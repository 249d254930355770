package cpu

// span is an elementwise call over n rows, cut into grains of equal size. work is a function without a
// closure, so that a call allocates nothing.
type span struct {
	work  func(s *span, first, last int) // rows first..last−1
	n     int
	grain int
	level *level
	f     [7][]float32 // the call's tensors, in the order of its arguments
	pos   []int32
	k     int // row length
	whole int // rows of a tensor that is processed by columns; or features of a weight
	col   int // first word of a slab
	h, d  int // heads, head size
	eps   float32
	sign  float32
	adam  adam
	sums  []float64 // one partial sum per grain
	slab  *slab     // the head's working memory
}

// grainWork is the arithmetic of one grain: much more than the cost of handing it over.
const grainWork = 100_000

// spread runs s over its rows; rowWork is the arithmetic of one row.
func (d *Device) spread(s span, rowWork int) {
	if s.n == 0 {
		return
	}
	s.level = d.level
	if s.grain == 0 {
		s.grain = max(1, grainWork/max(1, rowWork))
	}
	t := d.spans.take()
	*t = s
	d.pool.run((s.n+s.grain-1)/s.grain, s.n*rowWork, t)
	*t = span{}
	d.spans.put(t)
}

func (s *span) part(i int, _ *scratch) {
	s.work(s, i*s.grain, min(s.n, (i+1)*s.grain))
}
