package ptx

import "fmt"

// flow says how an instruction continues.
type flow int

const (
	flowNext flow = iota
	flowBranch
	flowJump // by a table
	flowExit
	flowBarrier
)

// graph is the control flow of a kernel: node i is instruction i, the last node is the exit.
type graph struct {
	next, prev [][]int
	order      []int // post-order number of a walk backwards from the exit; 0: does not reach it
	post       []int // nodes in that order
	dominator  []int // immediate post-dominator; -1: unknown
	steps      int
}

// maxSteps bounds the search in graphs that no compiler writes.
const maxSteps = 1 << 28

// findReconvergence sets, for every branch, its immediate post-dominator: the first instruction that
// every path from the branch to the exit passes. Lanes that part at the branch meet again there. The
// algorithm is that of Cooper, Harvey and Kennedy, "A Simple, Fast Dominance Algorithm" (2001).
func (k *Kernel) findReconvergence() error {
	g := k.graph()
	g.walk()
	if err := g.dominate(); err != nil {
		return err
	}
	for i, in := range k.code {
		in.reconv = len(k.code)
		if g.dominator[i] >= 0 {
			in.reconv = g.dominator[i]
		}
	}
	return nil
}

func (k *Kernel) graph() *graph {
	n := len(k.code)
	g := &graph{next: make([][]int, n), prev: make([][]int, n+1), order: make([]int, n+1)}
	for i, in := range k.code {
		switch in.flow {
		case flowBranch:
			g.next[i] = append(g.next[i], in.target)
		case flowJump:
			g.next[i] = append(g.next[i], in.table...)
		case flowExit:
			g.next[i] = append(g.next[i], n)
		}
		if in.flow == flowNext || in.guard >= 0 {
			g.next[i] = append(g.next[i], i+1)
		}
		for _, t := range g.next[i] {
			g.prev[t] = append(g.prev[t], i)
		}
	}
	return g
}

// walk numbers the nodes, depth first, backwards from the exit.
func (g *graph) walk() {
	type visit struct{ node, next int }
	exit := len(g.next)
	seen := make([]bool, exit+1)
	seen[exit] = true
	for stack := []visit{{exit, 0}}; len(stack) > 0; {
		v := &stack[len(stack)-1]
		if v.next == len(g.prev[v.node]) {
			g.post = append(g.post, v.node)
			g.order[v.node] = len(g.post)
			stack = stack[:len(stack)-1]
			continue
		}
		p := g.prev[v.node][v.next]
		v.next++
		if !seen[p] {
			seen[p] = true
			stack = append(stack, visit{p, 0})
		}
	}
}

func (g *graph) dominate() error {
	exit := len(g.next)
	g.dominator = make([]int, exit+1)
	for i := range g.dominator {
		g.dominator[i] = -1
	}
	g.dominator[exit] = exit
	for changed := true; changed; {
		changed = false
		for i := len(g.post) - 2; i >= 0; i-- { // all but the exit, nearest first
			node, d := g.post[i], -1
			for _, s := range g.next[node] {
				if g.order[s] > 0 && g.dominator[s] >= 0 {
					d = g.meet(d, s)
				}
			}
			if d != g.dominator[node] {
				g.dominator[node], changed = d, true
			}
			if g.steps > maxSteps {
				return fmt.Errorf("the control flow is too tangled")
			}
		}
	}
	return nil
}

// meet finds the nearest common dominator of two nodes; -1 stands for none yet.
func (g *graph) meet(a, b int) int {
	if a < 0 {
		return b
	}
	for a != b {
		g.steps++
		if g.order[a] < g.order[b] {
			a = g.dominator[a]
		} else {
			b = g.dominator[b]
		}
	}
	return a
}
