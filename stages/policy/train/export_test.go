package train

import "context"

// Gradients returns the loss and the gradients of the next step, by parameter. It changes no weight.
func (t *Trainer) Gradients(ctx context.Context) (float64, map[string][]float32, error) {
	p := &t.phases[t.cursor.Phase]
	defer t.graph.clearGradients()
	stats, err := t.accumulate(ctx, p, t.batch(p))
	if err != nil {
		return 0, nil, err
	}
	grads, i := map[string][]float32{}, 0
	for _, g := range t.graph.gradients() {
		grads[t.w.params[i].name] = t.read(g)
		i++
	}
	return stats.Loss, grads, nil
}

// Parameters returns copies of the trained parameters, by name.
func (t *Trainer) Parameters() map[string][]float32 {
	all, values := map[string][]float32{}, t.w.snapshot(nil)
	for i, p := range t.w.params {
		all[p.name] = values[i]
	}
	return all
}
