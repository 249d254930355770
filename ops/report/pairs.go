package report

import (
	"encoding/json"
	"fmt"

	"itool/ops/config"
	"itool/schemas"
	"itool/stages/expand"
	"itool/stages/expand/search"
	"itool/stages/judge"
)

// Kinds are the columns of the pairs by kind: what the reference decides, and otherKind for nothing.
func Kinds() []string {
	var all []string
	for _, k := range judge.Kinds {
		all = append(all, string(k))
	}
	return append(all, otherKind)
}

// otherKind are pairs about which the reference says nothing, or whose filter does not say.
const otherKind = "other"

// addPairs adds the pairs of one tree to the funnel.
func (rd *Round) addPairs(pairs []schemas.Pair) {
	before := rd.Pairs
	for _, p := range pairs {
		if p.OtherMode == "" {
			rd.OtherMode++
		}
		if p.Reason != "" {
			rd.PairsReason[p.Reason]++
			continue
		}
		rd.Pairs++
		kind := otherKind
		for _, k := range judge.Kinds {
			if p.Kind == string(k) {
				kind = p.Kind
			}
		}
		rd.Kinds[kind]++
		if p.Proven {
			rd.KindsProven[kind]++
			rd.Proven++
		}
	}
	if rd.Pairs > before {
		rd.PairTrees++
	}
}

// PairsPerTree is the mean number of pairs that a tree gives.
func (rd *Round) PairsPerTree() float64 { return float64(rd.Pairs) / float64(max(1, rd.Trees)) }

// Kind is the number of kept pairs of a kind, and of those that an answer proves as well.
func (rd *Round) Kind(kind string) string {
	n := rd.Kinds[kind]
	if n == 0 {
		return "–"
	}
	return fmt.Sprintf("%d (%d)", n, rd.KindsProven[kind])
}

// textPairs is the end of the funnel: what the pairs are about.
func (r *Report) textPairs(w *printer) {
	rows := [][]string{append(append([]string{"to make", "pairs per tree", "trees with pairs"}, Kinds()...), "proven")}
	for i := range r.Rounds {
		rd := &r.Rounds[i]
		row := []string{PolicyName(rd.Round + 1), fmt.Sprintf("%.2f", rd.PairsPerTree()), fmt.Sprint(rd.PairTrees)}
		for _, k := range Kinds() {
			row = append(row, rd.Kind(k))
		}
		rows = append(rows, append(row, fmt.Sprint(rd.Proven)))
	}
	w.table("the pairs by what the reference decides between their sides (in brackets: those that a passing answer "+
		"proves)", rows)
}

// Departures are the run's settings that the paper has otherwise.
func (r *Report) Departures() []config.Departure { return config.Departures(r.Config) }

func (r *Report) textDepartures(w *printer) {
	rows := [][]string{{"setting", "here", "paper", "why the default is another"}}
	for _, d := range r.Departures() {
		rows = append(rows, []string{Plain(d.Setting), Plain(d.Here), Plain(d.Paper), Plain(d.Why)})
	}
	w.table("where the run departs from the paper (preset=paper takes over what is in expand, filter and update)", rows)
}

// searchConfig is what remarks need of a run's settings.
type searchConfig struct {
	Preset string
	Expand expand.Config
	Filter struct {
		Mode       string
		Unfinished bool
	}
}

// search reads the settings of the search; an older run lacks some.
func (r *Report) search() (c searchConfig) {
	_ = json.Unmarshal(r.Config, &c) // a run's configuration was read before
	if c.Expand.Preset == expand.PresetPaper {
		p := search.Paper()
		c.Expand.Depth, c.Expand.Simulation = p.MaxDepth, p.Simulation
	}
	return c
}

// noSignal is the remark on a round whose roll-outs ended before their answers did, though nothing but the
// self-evaluation rewards such a roll-out and it did not count. It is "" for other rounds.
func (c searchConfig) noSignal(rd *Round) string {
	if rd.Unfinished == 0 || c.Expand.Simulation == 0 {
		return ""
	}
	what := "the search"
	if c.Preset == config.PresetPaper || c.Expand.Preset == expand.PresetPaper {
		what = "the preset paper"
	}
	at := "there"
	if c.Expand.Depth > 0 {
		at = fmt.Sprintf("at depth %d", c.Expand.Depth)
	}
	return fmt.Sprintf("%s has no signal %s: %d of %d roll-outs ended after %d fragments, before their answers did, "+
		"and only the self-evaluation, which did not count, could reward them "+
		"(expand.depth=0 expand.simulation=0, or select.self_eval=on)",
		what, at, rd.Unfinished, rd.Unfinished+rd.Terminals, c.Expand.Simulation)
}
