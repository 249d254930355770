package worker

import (
	"cmp"
	"slices"

	"itool/ops/courier"
)

// working says what is in the slots, by run and stage, for those who ask.
func (w *Worker) working() []courier.Working {
	items := map[queue]int{}
	w.inWork.Range(func(key, _ any) bool {
		it := key.(*item) // the map has no others
		items[queue{it.runName, it.spec.Name}]++
		return true
	})
	var all []courier.Working
	for q, n := range items {
		all = append(all, courier.Working{Run: q.run, Stage: q.stage, Worker: w.Name, Items: n})
	}
	slices.SortFunc(all, func(a, b courier.Working) int {
		return cmp.Or(cmp.Compare(a.Run, b.Run), cmp.Compare(a.Stage, b.Stage))
	})
	return all
}
