package cpu

import "itool/stages/policy/kernel"

// sampleRows is the number of rows whose logits exist at the same time.
const sampleRows = 32

// sampling is one call of Sample; a part is one row of a block.
type sampling struct {
	picks  []kernel.Pick // of the rows of the block
	begins []int         // (rows + 1) where the picks of each row begin
	logits []float32     // (sampleRows, V)
	v      int
}

// Sample computes the logits of a few rows at a time, and the threads draw from one row each. What picks of
// one row have in common is computed once.
func (d *Device) Sample(picks []kernel.Pick, x kernel.Floats, w kernel.Matrix) {
	m := d.own(w)
	s := d.samplings.take()
	s.v = m.n
	for len(picks) > 0 {
		first := picks[0].Row
		n := s.block(picks)
		grow(&s.logits, n*m.n)
		d.MatMul(kernel.Host(s.logits), x.Slice(first*m.k, (first+n)*m.k), w, n, false)
		d.pool.run(n, 20*n*m.n, s)
		picks = picks[len(s.picks):]
	}
	s.picks = nil
	d.samplings.put(s)
}

// block takes the picks of up to sampleRows rows, and returns the number of rows.
func (s *sampling) block(picks []kernel.Pick) (rows int) {
	s.begins = s.begins[:0]
	n := 0
	for ; n < len(picks) && picks[n].Row-picks[0].Row < sampleRows; n++ {
		row := picks[n].Row - picks[0].Row
		if row < len(s.begins)-1 {
			panic("cpu: sample: the rows of the picks are not in ascending order")
		}
		for len(s.begins) <= row {
			s.begins = append(s.begins, n)
		}
	}
	s.picks, s.begins = picks[:n], append(s.begins, n)
	return len(s.begins) - 1
}

func (s *sampling) part(row int, work *scratch) {
	picks := s.picks[s.begins[row]:s.begins[row+1]]
	if len(picks) == 0 {
		return
	}
	l := &work.logits
	l.Set(s.logits[row*s.v : (row+1)*s.v])
	for i := range picks {
		picks[i].From(l)
	}
}
