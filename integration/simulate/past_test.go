package simulate

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"itool/integration/results"
)

// turn says what makes a part faster.
var turn = map[Part]string{
	Score:  "more `itool work score` (KEDA's maxReplicaCount, `--workers`), or a GPU: `--device auto`",
	Select: "`select.max_trees` does not help; a faster core does",
	Expand: "more `itool work expand` (KEDA's maxReplicaCount, `--workers`), a GPU, or fewer trees: `select.ratio`",
	Filter: "more `itool work filter`: it scales like expand",
	Trainer: "a GPU: `itool work update --device auto`, or the PyTorch trainer of `integration/foreign`; fewer " +
		"pairs or passes: `select.max_trees`, `update.epochs`",
	Broker: "a nats-server with a disk that flushes faster, or `sync_interval` above 0; larger `line.batch_rows`",
	Store:  "MinIO with more drives or nodes",
	Keeper: "nothing scales it: one keeper writes the tasks of a run; larger `line.batch_rows` means fewer",
}

// TestPastTheseMachines: what limits the line with 10, 100 and 1,000 workers and a million examples, by the costs
// that were measured here.
func TestPastTheseMachines(t *testing.T) {
	costs, err := Read("costs.json")
	if err != nil {
		t.Fatal(err)
	}
	examples := 5_000
	if results.Wanted() {
		examples = 1_000_000
	} else if testing.Short() {
		t.Skip("plays some eighty rounds through; the full test run does it")
	}
	r := results.Begin("Past these machines")
	rounds := [][]string{{"workers", "round", "score", "select", "expand and filter", "update", "workers at work",
		"broker at work"}}
	first := [][]string{{"workers", "", "what limits", "the round, and with it out of the way", "what to turn"}}
	for _, workers := range []int{10, 100, 1000} {
		l := Line{Costs: costs, Examples: examples, Workers: workers, Seed: 1}
		round := l.Round()
		rounds = append(rounds, []string{fmt.Sprint(workers), text(round.Total()), text(round.Score),
			text(round.Select), text(round.Search), text(round.Update), percent(round.Busy[Score] + round.Busy[Expand]),
			percent(round.Busy[Broker])})
		for i, b := range l.Bottlenecks(3) {
			if b.After > b.Before {
				t.Errorf("%d workers: the round becomes longer when %s is faster: %+v", workers, b.Part, b)
			}
			first = append(first, []string{fmt.Sprint(workers), fmt.Sprint(i + 1), string(b.Part),
				text(b.Before) + " → " + text(b.After), turn[b.Part]})
		}
	}
	page := fmt.Sprintf("A simulation (`integration/simulate`; `task results` runs it again, the costs are in its "+
		"`costs.json`), not a measurement: one round over %d examples. A worker is one of expand and one of score; "+
		"broker, keeper, filter and trainer are one each. A bottleneck is the part with which the round gains most if "+
		"it is out of the way (a thousand times as fast); the next one is found with that one gone.\n\n", examples) +
		results.Table(rounds...) + "\n" + results.Table(first...) + "\nThe costs:\n\n" + results.Table(table(costs)...)
	t.Log("\n" + page)
	if err := r.Write(page); err != nil {
		t.Error(err)
	}
}

func table(c Costs) [][]string {
	numbers := c.numbers()
	var names []string
	for name := range numbers {
		names = append(names, name)
	}
	slices.Sort(names)
	rows := [][]string{{"cost", "seconds or number", "from"}}
	for _, name := range names {
		rows = append(rows, []string{name, fmt.Sprintf("%g", numbers[name]), c.Sources[name]})
	}
	return rows
}

func text(seconds float64) string {
	switch {
	case seconds >= 48*3600:
		return fmt.Sprintf("%.1f d", seconds/86400)
	case seconds >= 7200:
		return fmt.Sprintf("%.1f h", seconds/3600)
	}
	return time.Duration(seconds * 1e9).Round(time.Second).String()
}

func percent(share float64) string { return fmt.Sprintf("%.0f %%", 100*share) }
