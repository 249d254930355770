package cuda

import (
	"sync"

	"itool/stages/policy/kernel"
	"itool/stages/policy/sample"
)

// sampler is the memory of Sample.
type sampler struct {
	mu       sync.Mutex
	settings []Setting
	u        []float64
	ids      []int32
	logps    []float32
	rows     kernel.Ints   // of x, for each pick
	targets  kernel.Ints   // whose log-probabilities are asked
	on       *kernel.Block // settings, u, ids and logps
	x, out   kernel.Floats // gathered rows; log-probabilities and log-sum-exps
	logits   kernel.Floats // (V) of a pick that the host draws
	host     []float32     // the same
	row      sample.Logits
}

// Sample draws on the device: settings and random numbers go there, tokens and log-probabilities come back.
// Logits leave the device only for picks that ask for the likeliest tokens or that a constraint restricts.
func (d *Device) Sample(picks []kernel.Pick, x kernel.Floats, w kernel.Matrix) {
	s, m := &d.sampler, own(w)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.settings, s.u, s.rows.Host = s.settings[:0], s.u[:0], s.rows.Host[:0]
	for i := range picks {
		p := &picks[i]
		if p.Top > 0 || p.Allowed != nil {
			d.sampleHere(p, x, m)
			continue
		}
		set := p.Settings
		s.settings = append(s.settings, Setting{Temperature: float32(set.Temperature), TopP: float32(set.TopP),
			MinP: float32(set.MinP), TopK: int32(min(set.TopK, m.w.N))})
		s.u = append(s.u, p.U)
		s.rows.Host = append(s.rows.Host, int32(p.Row))
	}
	if len(s.u) > 0 {
		d.sampleThere(picks, x, m)
	}
	d.sampleOf(picks, x, m)
}

// sampleHere draws from logits that are copied to the host.
func (d *Device) sampleHere(p *kernel.Pick, x kernel.Floats, m *matrix) {
	s := &d.sampler
	if s.logits.N < m.w.N {
		s.logits, s.host = d.reserve(m.w.N), make([]float32, m.w.N)
	}
	must(d.l.MatMul(at(s.logits), at(x.From(p.Row*m.w.K)), m.w, 1, false))
	d.Read(s.host[:m.w.N], s.logits)
	s.row.Set(s.host[:m.w.N])
	p.From(&s.row)
}

// sampleThere draws for the picks that have a setting.
func (d *Device) sampleThere(picks []kernel.Pick, x kernel.Floats, m *matrix) {
	s := &d.sampler
	n := len(s.u)
	const each = 16 + 8 + 4 + 4 // bytes
	if s.on == nil || s.on.Bytes < int64(n*each) {
		block, err := d.l.block(int64(2 * n * each))
		must(err)
		s.on = block
	}
	settings := Address(s.on.Address)
	u := settings.At(n, 16)
	ids := u.At(n, 8)
	must(d.l.copyIn(settings, bytes(s.settings)))
	must(d.l.copyIn(u, bytes(s.u)))
	rows := d.gather(x, m.w.K)
	must(d.l.Sample(Sampled{IDs: ids, LogP: ids.At(n, 4)}, at(rows), m.w, settings, u, n))
	if cap(s.ids) < n {
		s.ids, s.logps = make([]int32, 2*n), make([]float32, 2*n)
	}
	s.ids, s.logps = s.ids[:n], s.logps[:n]
	must(d.l.copyOut(bytes(s.ids), ids))
	must(d.l.copyOut(bytes(s.logps), ids.At(n, 4)))
	at := 0
	for i := range picks {
		if p := &picks[i]; p.Top == 0 && p.Allowed == nil {
			p.ID, p.LogProb, p.Likeliest = s.ids[at], float64(s.logps[at]), nil
			at++
		}
	}
}

// gather returns the rows s.rows of x, one behind the other: as they lie if they do already.
func (d *Device) gather(x kernel.Floats, k int) kernel.Floats {
	s, apart := &d.sampler, false
	first := int(s.rows.Host[0])
	for i, r := range s.rows.Host {
		apart = apart || int(r) != first+i
	}
	if !apart {
		return x.From(first * k)
	}
	if need := len(s.rows.Host) * k; s.x.N < need {
		s.x = d.reserve(need)
	}
	d.Send(&s.rows)
	d.GatherRows(s.x, x, s.rows, k)
	return s.x
}

// sampleOf computes the log-probabilities that are asked: a row of the head for each.
func (d *Device) sampleOf(picks []kernel.Pick, x kernel.Floats, m *matrix) {
	s := &d.sampler
	s.rows.Host, s.targets.Host = s.rows.Host[:0], s.targets.Host[:0]
	for i := range picks {
		for _, id := range picks[i].Of {
			s.rows.Host, s.targets.Host = append(s.rows.Host, int32(picks[i].Row)), append(s.targets.Host, id)
		}
	}
	n := len(s.targets.Host)
	if n == 0 {
		return
	}
	if s.out.N < 2*n {
		s.out = d.reserve(2 * n)
	}
	d.Send(&s.targets)
	d.LogProbs(s.out, s.out.From(n), kernel.Head{X: d.gather(x, m.w.K), W: m, Targets: s.targets, T: n})
	if cap(s.logps) < n {
		s.logps = make([]float32, 2*n)
	}
	s.logps = s.logps[:n]
	d.Read(s.logps, s.out)
	at := 0
	for i := range picks {
		for j := range picks[i].Of {
			picks[i].LogProbs[j] = float64(s.logps[at])
			at++
		}
	}
}
