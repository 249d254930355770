package train

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"itool/stages/policy/model"
)

// weights are the parameters that training changes, and the frozen base under them.
type weights struct {
	base    *model.Model   // LoRA: the base without an adapter, shared and frozen. Full: a copy with params
	adapter *model.Adapter // LoRA: a copy with params. Full: nil
	params  []param        // slices of adapter or base, in a fixed order
}

// param is one trained tensor.
type param struct {
	name  string
	shape []int
	data  []float32
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

func (w *weights) listAdapter() {
	r := w.adapter.Rank
	for i := range w.adapter.Layers {
		for j, lin := range w.base.Layers[i].Linears() {
			if l := w.adapter.Layers[i][j]; l != nil {
				at := fmt.Sprintf("layers.%d.%s.", i, model.Module(j))
				w.params = append(w.params, param{at + "A", []int{r, lin.K}, l.A},
					param{at + "B", []int{lin.N, r}, l.B})
			}
		}
	}
}

func (w *weights) listFull() {
	m := w.base
	c := m.HiddenSize
	w.params = append(w.params, param{"embed", []int{m.VocabSize, c}, m.Embed}, param{"norm", []int{c}, m.Norm})
	if !m.TieEmbeddings {
		w.params = append(w.params, param{"head", []int{m.VocabSize, c}, m.HeadW})
	}
	for i := range m.Layers {
		l, at := &m.Layers[i], fmt.Sprintf("layers.%d.", i)
		w.params = append(w.params, param{at + "input_norm", []int{c}, l.InputNorm},
			param{at + "post_norm", []int{c}, l.PostNorm})
		for j, lin := range l.Linears() {
			w.params = append(w.params, param{at + model.Module(j).String(), []int{lin.N, lin.K}, lin.W})
			if lin.Bias != nil {
				w.params = append(w.params, param{at + model.Module(j).String() + ".bias", []int{lin.N}, lin.Bias})
			}
		}
		if l.QNorm != nil {
			w.params = append(w.params, param{at + "q_norm", []int{m.HeadDim}, l.QNorm},
				param{at + "k_norm", []int{m.HeadDim}, l.KNorm})
		}
	}
}

// snapshot copies the parameters, into to if it is not nil.
func (w *weights) snapshot(to [][]float32) [][]float32 {
	if to == nil {
		to = make([][]float32, len(w.params))
	}
	for i, p := range w.params {
		to[i] = append(to[i][:0], p.data...)
	}
	return to
}

// with runs f while the parameters have other values. nil leaves them unchanged.
func (w *weights) with(values [][]float32, f func()) {
	if values != nil {
		now := w.snapshot(nil)
		defer w.set(now)
		w.set(values)
	}
	f()
}

func (w *weights) set(values [][]float32) {
	for i, p := range w.params {
		copy(p.data, values[i])
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
