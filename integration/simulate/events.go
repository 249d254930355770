package simulate

import "container/heap"

// clock runs what is due, in the order of time; what is due at the same time runs in the order of asking.
type clock struct {
	now   float64 // seconds
	asked int
	due   events
}

type event struct {
	at    float64
	order int
	do    func()
}

func (c *clock) after(seconds float64, do func()) {
	c.asked++
	heap.Push(&c.due, event{c.now + seconds, c.asked, do})
}

// run returns when nothing is left to do.
func (c *clock) run() {
	for c.due.Len() > 0 {
		e, _ := heap.Pop(&c.due).(event)
		c.now = e.at
		e.do()
	}
}

type events []event

func (e events) Len() int { return len(e) }
func (e events) Less(i, j int) bool {
	return e[i].at < e[j].at || e[i].at == e[j].at && e[i].order < e[j].order
}
func (e events) Swap(i, j int) { e[i], e[j] = e[j], e[i] }
func (e *events) Push(x any) {
	if v, ok := x.(event); ok {
		*e = append(*e, v)
	}
}

func (e *events) Pop() any {
	last := (*e)[len(*e)-1]
	(*e)[len(*e)-1] = event{} // its function may be large
	*e = (*e)[:len(*e)-1]
	return last
}

// resource serves so many jobs at a time, in the order in which they come.
type resource struct {
	c       *clock
	servers int
	active  int
	waiting []func()
	busy    float64 // seconds, of all servers together
}

// acquire calls then when a server is free. It is held until release.
func (r *resource) acquire(then func()) {
	if r.active == r.servers {
		r.waiting = append(r.waiting, then)
		return
	}
	r.active++
	then()
}

func (r *resource) release() {
	if len(r.waiting) == 0 {
		r.active--
		return
	}
	next := r.waiting[0]
	r.waiting[0] = nil
	r.waiting = r.waiting[1:]
	r.c.after(0, next)
}

// use holds a server for a time, then calls then, which may be nil.
func (r *resource) use(seconds float64, then func()) {
	r.acquire(func() {
		r.busy += seconds
		r.c.after(seconds, func() {
			r.release()
			if then != nil {
				then()
			}
		})
	})
}

// machines are the resources of a line.
type machines struct {
	l     Line
	c     *clock
	parts map[Part]*resource
}

func newMachines(l Line) *machines {
	m := &machines{l: l, c: &clock{}, parts: map[Part]*resource{}}
	servers := map[Part]int{Score: l.Workers, Expand: l.Workers, Filter: l.FilterWorkers}
	for _, p := range Parts {
		m.parts[p] = &resource{c: m.c, servers: max(servers[p], 1)}
	}
	return m
}

// finish lets all go on until nothing is left to do, and returns the time.
func (m *machines) finish() float64 {
	m.c.run()
	return m.c.now
}

// stage lets the keeper write n tasks, and workers do them; work is seconds of task i. After each, next happens,
// unless it is nil. It returns the time of the end.
func (m *machines) stage(n int, workers *resource, work func(i int) float64, objects int, next func()) float64 {
	for i := range n {
		m.parts[Keeper].use(m.l.cost(Keeper, m.l.Task), func() {
			m.parts[Broker].use(m.l.cost(Broker, m.l.Request), func() {
				m.item(workers, work(i), objects, next)
			})
		})
	}
	return m.finish()
}

// item is one item of a worker: half of its requests come before the work, the others with its result.
func (m *machines) item(workers *resource, work float64, objects int, then func()) {
	broker, store := m.parts[Broker], m.parts[Store]
	requests := m.l.cost(Broker, m.l.Request*float64(m.l.PerItem)/2)
	workers.acquire(func() {
		broker.use(requests, func() {
			workers.busy += work
			m.c.after(work, func() {
				store.use(m.l.cost(Store, m.l.Object*float64(objects)), func() {
					broker.use(requests, func() {
						workers.release()
						if then != nil {
							then()
						}
					})
				})
			})
		})
	})
}
