package train

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"itool/stages/policy/kernel"
	"itool/stages/policy/model"
)

// weights are the parameters that training changes, and the frozen base under them.
type weights struct {
	base    *model.Model   // LoRA: the base without an adapter, shared and frozen. Full: a copy with params
	adapter *model.Adapter // LoRA: a copy with params. Full: nil
	params  []param        // in a fixed order
}

// param is one trained tensor.
type param struct {
	name  string
	shape []int
	data  kernel.Floats // the values, on the device
	host  []float32     // of adapter or base; on a CPU the same memory as data
}

func newWeights(m *model.Model, cfg Config) (*weights, error) {
	if cfg.Full {
		w := &weights{base: m.Merged().Clone()}
		w.listFull()
		return w, nil
	}
	base, err := m.WithAdapter(nil)
	if err != nil {
		return nil, err
	}
	w := &weights{base: base}
	if m.Adapter == nil {
		w.adapter, err = freshAdapter(base, cfg)
	} else {
		w.adapter, err = m.Adapter.Clone(), sameAdapter(m.Adapter, cfg)
		w.adapter.Base = base.BaseDigest() // an adapter from another program may have none
	}
	if err != nil {
		return nil, err
	}
	w.listAdapter()
	return w, nil
}

// freshAdapter makes an adapter with A uniform within ±1/√fan_in and B zero, which changes nothing yet.
func freshAdapter(m *model.Model, cfg Config) (*model.Adapter, error) {
	on, err := cfg.targets()
	if err != nil {
		return nil, err
	}
	r := rand.New(rand.NewPCG(cfg.Seed, 0x6c6f7261))
	a := &model.Adapter{
		Rank: cfg.Rank, Alpha: cfg.Alpha, Base: m.BaseDigest(), Layers: make([]model.AdapterLayer, len(m.Layers)),
	}
	for i := range m.Layers {
		for j, lin := range m.Layers[i].Linears() {
			if !on[j] {
				continue
			}
			l := &model.LoRA{A: make([]float32, cfg.Rank*lin.K), B: make([]float32, lin.N*cfg.Rank)}
			bound := 1 / math.Sqrt(float64(lin.K))
			for k := range l.A {
				l.A[k] = float32((2*r.Float64() - 1) * bound)
			}
			a.Layers[i][j] = l
		}
	}
	return a, nil
}

// sameAdapter checks that an adapter to continue fits the configuration.
func sameAdapter(a *model.Adapter, cfg Config) error {
	on, err := cfg.targets()
	if err != nil {
		return err
	}
	var want []string
	for j, ok := range on {
		if ok {
			want = append(want, model.Module(j).String())
		}
	}
	switch {
	case a.Rank != cfg.Rank:
		return fmt.Errorf("rank: the adapter to continue has %d, the configuration %d", a.Rank, cfg.Rank)
	case a.Alpha != cfg.Alpha:
		return fmt.Errorf("alpha: the adapter to continue has %v, the configuration %v", a.Alpha, cfg.Alpha)
	case !slices.Equal(a.Targets(), want):
		return fmt.Errorf("targets: the adapter to continue has %v, the configuration %v", a.Targets(), want)
	}
	return nil
}

// add adds a parameter. data is the device's memory of host.
func (w *weights) add(name string, host []float32, data kernel.Floats, shape ...int) {
	w.params = append(w.params, param{name, shape, data, host})
}

func (w *weights) listAdapter() {
	r, dev := w.adapter.Rank, w.base.Device
	for i := range w.adapter.Layers {
		for j, lin := range w.base.Layers[i].Linears() {
			if l := w.adapter.Layers[i][j]; l != nil {
				at := fmt.Sprintf("layers.%d.%s.", i, model.Module(j))
				w.add(at+"A", l.A, dev.Put(l.A), r, lin.K)
				w.add(at+"B", l.B, dev.Put(l.B), lin.N, r)
			}
		}
	}
}

func (w *weights) listFull() {
	m := w.base
	c, dev := m.HiddenSize, m.Device
	w.add("embed", m.Embed, m.On.Embed, m.VocabSize, c)
	w.add("norm", m.Norm, m.On.Norm, c)
	if !m.TieEmbeddings {
		w.add("head", m.HeadW, dev.Put(m.HeadW), m.VocabSize, c)
	}
	for i := range m.Layers {
		l, on, at := &m.Layers[i], &m.On.Layers[i], fmt.Sprintf("layers.%d.", i)
		w.add(at+"input_norm", l.InputNorm, on.InputNorm, c)
		w.add(at+"post_norm", l.PostNorm, on.PostNorm, c)
		for j, lin := range l.Linears() {
			w.add(at+model.Module(j).String(), lin.W, dev.Put(lin.W), lin.N, lin.K)
			if lin.Bias != nil {
				w.add(at+model.Module(j).String()+".bias", lin.Bias, on.Linears()[j].Bias, lin.N)
			}
		}
		if l.QNorm != nil {
			w.add(at+"q_norm", l.QNorm, on.QNorm, m.HeadDim)
			w.add(at+"k_norm", l.KNorm, on.KNorm, m.HeadDim)
		}
	}
}

// snapshot copies the parameters, into to if it is not nil.
func (w *weights) snapshot(to [][]float32) [][]float32 {
	if to == nil {
		to = make([][]float32, len(w.params))
	}
	w.read()
	for i, p := range w.params {
		to[i] = append(to[i][:0], p.host...)
	}
	return to
}

// read brings adapter or base up to date with the device.
func (w *weights) read() {
	for _, p := range w.params {
		if p.data.Block != nil {
			w.base.Device.Read(p.host, p.data)
		}
	}
}

// with runs f while adapter or base have other values; nil are the present ones. The parameters on a device
// with memory of its own stay as they are.
func (w *weights) with(values [][]float32, f func()) {
	w.read()
	if values != nil {
		defer w.set(w.snapshot(nil))
		w.set(values)
	}
	f()
}

func (w *weights) set(values [][]float32) {
	for i, p := range w.params {
		copy(p.host, values[i])
	}
}

func (w *weights) copyAdapter(values [][]float32) (a *model.Adapter) {
	w.with(values, func() { a = w.adapter.Clone() })
	return a
}

func (w *weights) model(values [][]float32) (m *model.Model, err error) {
	if w.adapter != nil {
		return w.base.WithAdapter(w.copyAdapter(values))
	}
	w.with(values, func() { m = w.base.Clone() })
	return m, nil
}
