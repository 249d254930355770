package ui

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"itool/ops/config"
	"itool/ops/dataset"
	"itool/ops/report"
)

// ErrorChange is how often one type of error was made by the first policy and by the last.
type ErrorChange struct {
	Type          string
	Before, After int
	Change        int // negative is better
	From, To      report.Policy
}

// Query is the filter that shows the examples of the change.
func (e ErrorChange) Query() string {
	return url.Values{
		"type": {e.Type}, "from": {strconv.Itoa(e.From.Round)}, "to": {strconv.Itoa(e.To.Round)},
	}.Encode()
}

// Errors are the signed changes of the errors, the most frequent first; nil: fewer than two policies were evaluated.
// They begin at the warm-up if there is one, because the base makes errors of another kind.
func (p *page) Errors() []ErrorChange {
	if p.Report == nil {
		return nil
	}
	types, policies := p.Report.ErrorTypes()
	if len(policies) < 2 {
		return nil
	}
	from, to := policies[0], policies[len(policies)-1]
	if len(policies) > 2 && policies[1].Round == 0 {
		from = policies[1]
	}
	var out []ErrorChange
	for _, t := range types {
		e := ErrorChange{t, from.Accuracy.Errors[t], to.Accuracy.Errors[t], 0, from, to}
		e.Change = e.After - e.Before
		if e.Before+e.After > 0 {
			out = append(out, e)
		}
	}
	slices.SortStableFunc(out, func(a, b ErrorChange) int { return max(b.Before, b.After) - max(a.Before, a.After) })
	return out
}

// MostErrors is the longest bar of the errors.
func (p *page) MostErrors() (n int) {
	for _, e := range p.Errors() {
		n = max(n, e.Before, e.After)
	}
	return n
}

// Setting is one setting of the run.
type Setting struct {
	Key, Here, Default string
	Changed            bool
}

// Settings are all settings of the run beside the defaults, those that differ first.
func (p *page) Settings() []Setting {
	if p.Report == nil {
		return nil
	}
	text, _, err := config.Default().Freeze()
	if err != nil {
		return nil
	}
	here, defaults := flat(p.Report.Config), flat([]byte(text))
	var out []Setting
	for key, value := range here {
		d, known := defaults[key]
		if !known {
			d = "–"
		}
		out = append(out, Setting{key, value, d, value != d})
	}
	slices.SortFunc(out, func(a, b Setting) int {
		if a.Changed != b.Changed {
			if a.Changed {
				return -1
			}
			return 1
		}
		return strings.Compare(a.Key, b.Key)
	})
	return out
}

// ChangedSettings counts those that differ from the defaults.
func (p *page) ChangedSettings() (n int) {
	for _, s := range p.Settings() {
		if s.Changed {
			n++
		}
	}
	return n
}

// flat lists the leaves of a JSON object by their paths.
func flat(text []byte) map[string]string {
	out := map[string]string{}
	var walk func(path string, text json.RawMessage)
	walk = func(path string, text json.RawMessage) {
		var inner map[string]json.RawMessage
		if err := json.Unmarshal(text, &inner); err != nil || inner == nil {
			var b bytes.Buffer
			if json.Compact(&b, text) == nil && path != "" {
				out[path] = b.String()
			}
			return
		}
		for key, value := range inner {
			walk(strings.TrimPrefix(path+"."+key, "."), value)
		}
	}
	walk("", text)
	return out
}

// Histogram is how many examples have so many tokens.
type Histogram struct {
	Title   string
	Lengths dataset.Lengths
	Most    int // of a bucket
}

// Histograms are those of prompts and answers.
func (p *page) Histograms() (out []Histogram) {
	if p.Report == nil || p.Report.Rows.Numbers == nil {
		return nil
	}
	n := p.Report.Rows.Numbers
	for _, h := range []Histogram{{Title: "prompt", Lengths: n.Prompt}, {Title: "answer", Lengths: n.Answer}} {
		for _, b := range h.Lengths.Buckets {
			h.Most = max(h.Most, b.N)
		}
		if h.Most > 0 {
			out = append(out, h)
		}
	}
	return out
}

// Node is a dataset or a policy in the graph of the run's lineage. Positions are in the SVG's units.
type Node struct {
	X, Y, W, H   int
	Title, Below string
	Digest       string
	Class        string // dataset, policy, same
}

// Edge leads from one node to another.
type Edge struct {
	Path string
	X, Y int // of its text
	Text string
	Same bool // nothing was trained: the weights are those before
}

// Graph is the lineage of the run's policies.
type Graph struct {
	W, H  int
	Nodes []Node
	Edges []Edge
}

// The sizes of the graph's nodes and the room between them.
const (
	nodeWidth, nodeHeight = 150, 58
	gapX, gapY            = 96, 34
)

// Lineage draws which policy was trained from which, on what.
func (p *page) Lineage() *Graph {
	if p.Report == nil || len(p.Report.Policies) == 0 {
		return nil
	}
	g := &Graph{H: 2*nodeHeight + gapY + 20}
	for i, x := range p.Report.Policies {
		n := Node{
			X: 10 + i*(nodeWidth+gapX), Y: nodeHeight + gapY + 10, W: nodeWidth, H: nodeHeight,
			Title: x.Name, Digest: x.Digest, Class: "policy", Below: x.Status,
		}
		if x.Accuracy != nil {
			n.Below = fmt.Sprintf("%.1f %% right", 100*x.Accuracy.Headline().Mean)
		}
		same := x.Round >= 0 && !x.Changed()
		if same {
			n.Class, n.Below = "policy same", x.Status
		}
		if i > 0 {
			y := n.Y + nodeHeight/2
			g.Edges = append(g.Edges, Edge{
				Path: fmt.Sprintf("M%d %d H%d", n.X-gapX, y, n.X-3), X: n.X - gapX/2, Y: y - 8, Text: trainedOn(x),
				Same: same,
			})
		}
		g.Nodes = append(g.Nodes, n)
	}
	g.W = 20 + len(g.Nodes)*(nodeWidth+gapX) - gapX
	p.addDatasets(g)
	return g
}

// trainedOn says what made a policy.
func trainedOn(x report.Policy) string {
	if x.Round == 0 {
		return fmt.Sprintf("%d examples", x.Examples)
	}
	return fmt.Sprintf("%d pairs", x.Examples)
}

// addDatasets puts the files above the warm-up, which learns from them, or above the base.
func (p *page) addDatasets(g *Graph) {
	const most = 3
	files := p.Report.Datasets
	for i, d := range files[:min(most, len(files))] {
		n := Node{
			X: 10 + i*(nodeWidth+24), Y: 10, W: nodeWidth, H: nodeHeight - 8, Title: shorten(report.Plain(d.Name), 20),
			Below: fmt.Sprintf("%d rows", d.Rows), Digest: d.SHA256, Class: "dataset",
		}
		if i == most-1 && len(files) > most {
			n.Title, n.Below, n.Digest = fmt.Sprintf("%d more files", len(files)-most+1), "", ""
		}
		g.W = max(g.W, n.X+nodeWidth+10)
		if len(g.Nodes) > i+1 && len(p.Report.Policies) > 1 {
			to := g.Nodes[1]
			x, y := n.X+nodeWidth/2, n.Y+n.H
			g.Edges = append(g.Edges, Edge{Path: fmt.Sprintf("M%d %d C%d %d %d %d %d %d",
				x, y, x, y+gapY, to.X+nodeWidth/2, to.Y-gapY, to.X+nodeWidth/2, to.Y-3)})
		}
		g.Nodes = append(g.Nodes, n)
	}
}
