// Package simulate says what limits the line on more machines than there are here: it plays one round through, item
// by item, with costs that were measured here.
//
//	costs, err := simulate.Read("costs.json")
//	line := simulate.Line{Costs: costs, Examples: 1_000_000, Workers: 100, Seed: 1}
//	round := line.Round()          // how long each part of the round takes
//	first := line.Bottlenecks(3)   // what to make faster first, then second, then third
//
// It is a discrete-event simulation: every broker, store, keeper, worker and trainer is a resource that serves so
// many jobs at a time, in the order in which they come. Same seed, same result. It does not know failures, networks
// or how costs change with load.
package simulate

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
)

// Costs are seconds of one server each, as measured, and counts.
type Costs struct {
	ScoreExample  float64           `json:"score_example"`  // perplexity of one example
	BatchRows     int               `json:"batch_rows"`     // examples of a score task
	Select        float64           `json:"select_example"` // selection of the round, per scored example
	Tree          float64           `json:"tree_median"`    // search of one tree
	TreeSpread    float64           `json:"tree_spread"`    // σ of the logarithm of a tree's time
	SelectedShare float64           `json:"selected_share"` // trees per example
	Filter        float64           `json:"filter_tree"`    // pairs of one tree
	PairsPerTree  float64           `json:"pairs_per_tree"` // that are kept
	Update        float64           `json:"update_pair"`    // one pair, one epoch
	Epochs        int               `json:"update_epochs"`  // passes over the pairs
	Request       float64           `json:"broker_request"` // the broker's time for one request
	PerItem       int               `json:"requests_item"`  // requests of an item: fetch, look, publish, hint, ack
	ReadRecord    float64           `json:"read_record"`    // a record of a whole round, for keeper, select and update
	Task          float64           `json:"keeper_task"`    // the keeper's time to write one task
	Object        float64           `json:"store_object"`   // the store's time for one object
	ObjectsTree   int               `json:"objects_tree"`   // objects of a tree, written and read
	FilterWorkers int               `json:"filter_workers"` // how many there are
	Sources       map[string]string `json:"sources"`        // where each number comes from
}

// Read reads costs from a file. All numbers must be there.
func Read(file string) (c Costs, err error) {
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, &c)
	}
	if err != nil {
		return c, fmt.Errorf("simulate: %s: %w", file, err)
	}
	return c, c.Validate()
}

// Validate says which number makes no sense.
func (c Costs) Validate() error {
	var names []string
	for name, n := range c.numbers() {
		if !(n > 0) || math.IsInf(n, 0) {
			names = append(names, name)
		}
	}
	if slices.Sort(names); len(names) > 0 {
		return fmt.Errorf("simulate: costs: %v must be above 0", names)
	}
	if c.TreeSpread > 3 || c.SelectedShare > 1 {
		return fmt.Errorf("simulate: costs: tree_spread %g must be at most 3, selected_share %g at most 1",
			c.TreeSpread, c.SelectedShare)
	}
	return nil
}

// numbers are all costs by their names in the file.
func (c Costs) numbers() map[string]float64 {
	return map[string]float64{
		"score_example": c.ScoreExample, "batch_rows": float64(c.BatchRows), "select_example": c.Select,
		"tree_median": c.Tree, "tree_spread": c.TreeSpread, "selected_share": c.SelectedShare, "filter_tree": c.Filter,
		"pairs_per_tree": c.PairsPerTree, "update_pair": c.Update, "update_epochs": float64(c.Epochs),
		"broker_request": c.Request, "requests_item": float64(c.PerItem), "read_record": c.ReadRecord,
		"keeper_task": c.Task, "store_object": c.Object, "objects_tree": float64(c.ObjectsTree),
		"filter_workers": float64(c.FilterWorkers),
	}
}

// Line is a line on so many machines.
type Line struct {
	Costs
	Examples int // in the replay buffer
	Workers  int // of score and of expand, with one slot each
	Seed     uint64

	Faster map[Part]float64 // how many times as fast a part is; none: 1
}

// Part is what a round can wait for.
type Part string

// The parts of a line.
const (
	Score   Part = "score workers"
	Select  Part = "select"
	Expand  Part = "expand workers"
	Filter  Part = "filter workers"
	Trainer Part = "update"
	Broker  Part = "broker"
	Store   Part = "store"
	Keeper  Part = "keeper"
)

// Parts are all parts, in the order of the line.
var Parts = []Part{Score, Select, Expand, Filter, Trainer, Broker, Store, Keeper}

// Round is what a simulated round took, in seconds.
type Round struct {
	Score, Select, Search, Update float64          // one after the other; Search: expand and filter
	Busy                          map[Part]float64 // share of the round in which a server of the part was at work
}

// Total is the whole round.
func (r Round) Total() float64 { return r.Score + r.Select + r.Search + r.Update }

// Bottleneck is a part that the round waits for.
type Bottleneck struct {
	Part
	Before, After float64 // seconds of the round, and with the part out of the way
}

// outOfTheWay is how many times as fast a part is that the round no longer waits for.
const outOfTheWay = 1000

// Bottlenecks finds what to make faster first: the part with which the round gains most if it is out of the way.
// Then, with that part gone, what comes second, and so on.
func (l Line) Bottlenecks(n int) (all []Bottleneck) {
	before := l.Round().Total()
	for range n {
		best := Bottleneck{Before: before, After: math.Inf(1)}
		for _, p := range Parts {
			if after := l.faster(p, outOfTheWay).Round().Total(); after < best.After {
				best.Part, best.After = p, after
			}
		}
		all, before = append(all, best), best.After
		l = l.faster(best.Part, outOfTheWay)
	}
	return all
}

// faster is the line with a part so many times as fast as it is.
func (l Line) faster(p Part, times float64) Line {
	all := map[Part]float64{p: times}
	for q, f := range l.Faster {
		all[q] = f
		if q == p {
			all[q] = f * times
		}
	}
	l.Faster = all
	return l
}

// cost is a part's seconds for something that costs so much.
func (l Line) cost(p Part, seconds float64) float64 {
	if f := l.Faster[p]; f > 0 {
		return seconds / f
	}
	return seconds
}

// Round plays one round through.
func (l Line) Round() Round {
	m := newMachines(l)
	tasks := (l.Examples + l.BatchRows - 1) / l.BatchRows
	trees := int(float64(l.Examples) * l.SelectedShare)
	r := Round{Busy: map[Part]float64{}}
	r.Score = m.stage(tasks, m.parts[Score], func(int) float64 {
		return l.cost(Score, l.ScoreExample*float64(l.BatchRows))
	}, 0, nil)
	m.parts[Keeper].use(l.cost(Keeper, l.ReadRecord*float64(tasks)), func() {
		m.parts[Select].use(l.cost(Select, l.Select*float64(l.Examples)), nil)
	})
	r.Select = m.finish() - r.Score
	rng := rand.New(rand.NewPCG(l.Seed, 17))
	lengths := make([]float64, trees)
	for i := range lengths {
		lengths[i] = l.cost(Expand, l.Tree*math.Exp(l.TreeSpread*rng.NormFloat64()))
	}
	r.Search = m.stage(trees, m.parts[Expand], func(i int) float64 { return lengths[i] }, l.ObjectsTree, func() {
		m.item(m.parts[Filter], l.cost(Filter, l.Filter), l.ObjectsTree, nil)
	}) - r.Select - r.Score
	pairs := l.PairsPerTree * float64(trees)
	m.parts[Keeper].use(l.cost(Keeper, l.ReadRecord*float64(trees)), func() {
		read := l.ReadRecord * float64(trees)
		m.parts[Trainer].use(l.cost(Trainer, read+l.Update*pairs*float64(l.Epochs)), nil)
	})
	r.Update = m.finish() - r.Search - r.Select - r.Score
	for p, res := range m.parts {
		r.Busy[p] = res.busy / float64(res.servers) / max(r.Total(), 1e-9)
	}
	return r
}
