package check

import (
	"encoding/json"
	"log/slog"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

// TestRules: Prometheus itself reads the alerts, as promtool does, and the expressions of the dashboard; they ask for
// metrics that the keeper serves, by labels that these have.
func TestRules(t *testing.T) {
	p := parser.NewParser(parser.Options{})
	groups, errs := rulefmt.ParseFile("../prometheus/alerts.yaml", false, model.UTF8Validation, p, slog.Default())
	for _, err := range errs {
		t.Error(err)
	}
	if len(errs) > 0 {
		return
	}
	served := metrics(t)
	exprs := panels(t)
	for _, g := range groups.Groups {
		for _, r := range g.Rules {
			exprs = append(exprs, r.Expr)
		}
	}
	if len(exprs) < 20 {
		t.Fatalf("%d expressions: %q", len(exprs), exprs)
	}
	for _, text := range exprs {
		expr, err := p.ParseExpr(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		check(t, text, expr, served)
	}
}

// TestRulesFindMistakes: what TestRules relies on refuses expressions that are wrong.
func TestRulesFindMistakes(t *testing.T) {
	p := parser.NewParser(parser.Options{})
	for _, text := range []string{
		"max by (run (itool_runs)", "rate(itool_runs)", "itool_runs = 1", "sum(itool_runs) by run",
	} {
		if _, err := p.ParseExpr(text); err == nil {
			t.Errorf("%s parses", text)
		}
	}
}

// check refuses metrics that nothing serves, and labels that none of the expression's metrics has.
func check(t *testing.T, text string, expr parser.Expr, served map[string][]string) {
	t.Helper()
	var labels []string
	known := []string{"instance", "job"} // Prometheus adds these when it scrapes
	parser.Inspect(expr, func(n parser.Node, _ []parser.Node) error {
		switch n := n.(type) {
		case *parser.VectorSelector:
			of, ok := served[n.Name]
			if !ok {
				t.Errorf("%s: the keeper serves no %s", text, n.Name)
			}
			known = append(known, of...)
			for _, m := range n.LabelMatchers {
				if m.Name != model.MetricNameLabel {
					labels = append(labels, m.Name)
				}
			}
		case *parser.AggregateExpr:
			labels = append(labels, n.Grouping...)
		}
		return nil
	})
	for _, l := range labels {
		if !slices.Contains(known, l) {
			t.Errorf("%s: no metric in it has the label %s", text, l)
		}
	}
}

var described = regexp.MustCompile(`describe\("(itool_\w+)",\s*"[^"]*"((?:,\s*"\w+")*)\)`)

// metrics are those that the source of the monitor describes, with their labels.
func metrics(t *testing.T) map[string][]string {
	t.Helper()
	source, err := os.ReadFile("../../monitor/metrics.go")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	for _, m := range described.FindAllStringSubmatch(string(source), -1) {
		out[m[1]] = regexp.MustCompile(`\w+`).FindAllString(m[2], -1)
	}
	if len(out) < 10 {
		t.Fatalf("only %d metrics are described: %v", len(out), out)
	}
	return out
}

// panels are the expressions of the dashboard. Its variable stands for a pattern.
func panels(t *testing.T) (exprs []string) {
	t.Helper()
	text, err := os.ReadFile("../grafana/itool.json")
	if err != nil {
		t.Fatal(err)
	}
	var board struct {
		Panels []struct {
			Targets []struct{ Expr string }
		}
	}
	if err := json.Unmarshal(text, &board); err != nil {
		t.Fatal(err)
	}
	for _, panel := range board.Panels {
		for _, target := range panel.Targets {
			exprs = append(exprs, strings.ReplaceAll(target.Expr, "$run", ".*"))
		}
	}
	return exprs
}
