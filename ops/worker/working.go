package worker

import (
	"cmp"
	"slices"

	"itool/ops/courier"
)

// working says what is in the slots, by run and stage, for those who ask; and which stages have to wait for a slot.
func (w *Worker) working() []courier.Working {
	items, total := map[queue]int{}, 0
	w.inWork.Range(func(key, _ any) bool {
		it := key.(*item) // the map has no others
		items[queue{it.runName, it.spec.Name}]++
		total++
		return true
	})
	var all []courier.Working
	inSlots := map[string]bool{}
	for q, n := range items {
		all = append(all, courier.Working{Run: q.run, Stage: q.stage, Worker: w.Name, Items: n})
		inSlots[q.stage] = true
	}
	if total >= w.Slots {
		for _, stage := range w.Stages {
			if name := stage.Spec().Name; !inSlots[name] {
				all = append(all, courier.Working{Stage: name, Worker: w.Name})
			}
		}
	}
	slices.SortFunc(all, func(a, b courier.Working) int {
		return cmp.Or(cmp.Compare(a.Run, b.Run), cmp.Compare(a.Stage, b.Stage))
	})
	return all
}
