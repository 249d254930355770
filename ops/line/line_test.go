package line_test

import (
	"fmt"
	"slices"
	"testing"

	"itool/broker"
	"itool/ops/courier/couriertest"
	"itool/ops/line"
	"itool/schemas"
	"itool/stages"
)

// The table and the Specs of its stages say the same.
func TestTableAgreesWithSpecs(t *testing.T) {
	written := map[string]line.When{} // records of the rows so far
	awaited := map[string]bool{}      // results that the keeper gathers
	table := line.Rows(nil)
	for _, row := range table {
		spec := row.Spec()
		switch rd := row.Round; {
		case rd != nil:
			if rd.Task != spec.Wakes || spec.Gather {
				t.Errorf("%s: the keeper writes %s, the stage wakes on %q", spec.Name, rd.Task, spec.Filter())
			}
			awaited[rd.Result] = true
			if maker, ok := table.Maker(rd.Result, 0); !ok || maker.When != row.When {
				t.Errorf("%s: no stage of the same round writes %s, which the keeper waits for", spec.Name, rd.Result)
			}
		case spec.Gather && !awaited[spec.Wakes]:
			t.Errorf("%s wakes on the gather of %s, which no row before it asks the keeper for", spec.Name, spec.Wakes)
		default:
			if when, ok := written[spec.Wakes]; !ok || when != row.When {
				t.Errorf("%s wakes on %s, which no row before it writes in the same round", spec.Name, spec.Wakes)
			}
		}
		for _, record := range spec.Also {
			if _, ok := written[record]; !ok {
				t.Errorf("%s reads %s, which no row before it writes", spec.Name, record)
			}
		}
		written[spec.Writes] = row.When
	}
}

func TestMaker(t *testing.T) {
	for _, c := range []struct {
		record string
		round  int
		want   string
	}{
		{schemas.RecordPolicy, line.Base, ""}, {schemas.RecordPolicy, 0, "warmup"}, {schemas.RecordPolicy, 1, "update"},
		{schemas.RecordExample, 0, "split"}, {schemas.RecordExample, 1, ""},
		{schemas.RecordPair, 0, "filter"}, {schemas.RecordPair, line.Base, ""},
		{schemas.RecordVerdict, line.Base, "evaluate"}, {schemas.RecordVerdict, 3, "evaluate"}, {"nonsense", 0, ""},
	} {
		got := ""
		if row, ok := line.Rows(nil).Maker(c.record, c.round); ok {
			got = row.Spec().Name
		}
		if got != c.want {
			t.Errorf("%s.%d: got %q, want %q", c.record, c.round, got, c.want)
		}
	}
}

// A worker of many stages serves the later ones first, and what comes beside the line last.
func TestDrain(t *testing.T) {
	var got []string
	for _, s := range line.Drain(line.Stages(nil)) {
		got = append(got, s.Spec().Name)
	}
	want := []string{"update", "filter", "expand", "select", "score", "warmup", "split", "evaluate"}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
}

// Keeper, worker and views take a new stage from its row. Here one stage wakes on an existing record and
// another on the gather of its results. So that there is such a gather, the first row names the tasks of
// the round before it again; TestTableAgreesWithSpecs refuses that in the real line.
func TestAddingAStageIsOneRow(t *testing.T) {
	table := (&world{}).table()
	at := slices.IndexFunc(table, func(r line.Row) bool { return r.Spec().Name == "update" })
	table = slices.Insert(table, at,
		line.Row{
			Stage: stage(stages.Spec{Name: "measure", Wakes: schemas.RecordCandidate, Writes: "size"},
				func(_ stages.Input, tree []schemas.Candidate) ([]schemas.Score, error) {
					return []schemas.Score{{ExampleID: tree[0].ExampleID, Tokens: int32(len(tree))}}, nil
				}),
			When: line.EachRound,
			Round: &line.Round{
				Task: schemas.RecordRoot, Result: "size", Items: line.Selected, Title: "measure trees of",
			},
		},
		line.Row{
			Stage: stage(stages.Spec{Name: "sum", Wakes: "size", Gather: true, Writes: "total"},
				func(_ stages.Input, sizes []schemas.Score) ([]schemas.Score, error) {
					return []schemas.Score{{Tokens: int32(len(sizes))}}, nil
				}),
			When: line.EachRound,
		})
	c := couriertest.Open(t)
	cfg := line.Default()
	cfg.Rounds = 2
	start(t, c, cfg)
	workOn(t, c, table.Stages())
	if s := keepLine(t, c, 1, table); s.Status != schemas.StatusDone {
		t.Fatalf("the run ends as %+v", s)
	}
	for r := range cfg.Rounds {
		trees, err := c.Broker.Count(t.Context(), "r", broker.Filter(schemas.RecordCandidate, r))
		sizes, sizesErr := c.Broker.Count(t.Context(), "r", broker.Filter("size", r))
		if err != nil || sizesErr != nil || trees == 0 || sizes != trees {
			t.Errorf("round %d: %d sizes of %d trees, %v, %v", r, sizes, trees, sizesErr, err)
		}
		total, err := c.Broker.Has(t.Context(), broker.Address{Run: "r", Record: "total", Round: r, Key: "total"})
		if err != nil || !total {
			t.Errorf("round %d has no total: %v", r, err)
		}
	}
	v, err := table.Look(t.Context(), c, "r")
	if err != nil {
		t.Fatal(err)
	}
	var last []string // of round 1
	for _, r := range v.Rounds {
		if r.Round == 1 {
			last = append(last, fmt.Sprintf("%s %t", r.Title, r.Gathered))
		}
	}
	want := []string{"evaluate true", "score with true", "search with true", "measure trees of true"}
	if !slices.Equal(last, want) {
		t.Errorf("round 1 shows %q, want %q", last, want)
	}
}
