package simulate

import (
	"math"
	"reflect"
	"strings"
	"testing"
)

// plain are costs with which a round can be computed by hand.
func plain() Costs {
	return Costs{
		ScoreExample: 1, BatchRows: 10, Select: 1e-3, Tree: 10, TreeSpread: 1e-9, SelectedShare: 0.1,
		Filter: 1e-3, PairsPerTree: 1,
		Update: 0.1, Epochs: 1, Request: 1e-6, PerItem: 6, ReadRecord: 1e-6, Task: 1e-6, Object: 1e-6, ObjectsTree: 1,
		FilterWorkers: 1,
	}
}

// TestByHand: without queues a part's time is its work, divided by its servers.
func TestByHand(t *testing.T) {
	r := Line{Costs: plain(), Examples: 1000, Workers: 10, Seed: 1}.Round()
	for _, c := range []struct {
		what      string
		got, want float64
	}{
		{"score", r.Score, 1000.0 / 10}, {"select", r.Select, 1}, {"search", r.Search, 100 * 10.0 / 10},
		{"update", r.Update, 100 * 0.1},
	} {
		if math.Abs(c.got-c.want) > 0.01*c.want {
			t.Errorf("%s took %g s, want %g", c.what, c.got, c.want)
		}
	}
	if busy := r.Busy[Expand]; math.Abs(busy-100/r.Total()) > 0.01 {
		t.Errorf("expand is busy for %g of the round, want %g", busy, 100/r.Total())
	}
}

// TestOneServer: with enough workers the round takes as long as the one server that all of them need.
func TestOneServer(t *testing.T) {
	for part, slow := range map[Part]func(*Costs){
		Broker: func(c *Costs) { c.Request = 0.5 }, Store: func(c *Costs) { c.Object = 5 },
		Keeper: func(c *Costs) { c.Task = 5 }, Filter: func(c *Costs) { c.Filter = 5 },
	} {
		c := plain()
		slow(&c)
		l := Line{Costs: c, Examples: 2000, Workers: 2000, Seed: 1}
		if got := l.Bottlenecks(1)[0]; got.Part != part || got.After > got.Before/2 {
			t.Errorf("%s is slow, but the first bottleneck is %+v", part, got)
		}
	}
}

// TestBottlenecksInTurn: when the first bottleneck is gone, the next one shows.
func TestBottlenecksInTurn(t *testing.T) {
	c := plain()
	c.Update, c.Request = 3, 0.1 // 300 s of training, some 200 s of the broker
	var got []Part
	for _, b := range (Line{Costs: c, Examples: 1000, Workers: 1000, Seed: 1}).Bottlenecks(2) {
		got = append(got, b.Part)
	}
	if want := []Part{Trainer, Broker}; !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// TestSameSeed: the same seed gives the same round, another one another.
func TestSameSeed(t *testing.T) {
	c := plain()
	c.TreeSpread = 0.8
	l := Line{Costs: c, Examples: 5000, Workers: 40, Seed: 3}
	first := l.Round()
	if second := l.Round(); !reflect.DeepEqual(first, second) {
		t.Errorf("the same seed gave %+v and %+v", first, second)
	}
	if l.Seed = 4; reflect.DeepEqual(first, l.Round()) {
		t.Error("another seed gave the same round")
	}
}

// TestMoreWorkers: more workers are never slower, and all work is done.
func TestMoreWorkers(t *testing.T) {
	c, before := plain(), math.Inf(1)
	c.TreeSpread, c.Request = 1, 1e-3
	for _, n := range []int{1, 3, 10, 100, 1000} {
		r := Line{Costs: c, Examples: 2000, Workers: n, Seed: 1}.Round()
		if r.Total() > before*1.001 {
			t.Errorf("%d workers need %g s, fewer needed %g", n, r.Total(), before)
		}
		before = r.Total()
	}
}

func TestWrongCosts(t *testing.T) {
	c := plain()
	c.Request, c.Tree = 0, math.NaN()
	err := c.Validate()
	if err == nil || !strings.Contains(err.Error(), "[broker_request tree_median]") {
		t.Errorf("got %v", err)
	}
	if _, err := Read("no such file"); err == nil {
		t.Error("a file that is not there was read")
	}
}
