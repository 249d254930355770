package lab

import (
	"encoding/csv"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"itool/ops/report"
	"itool/stages/evaluate/stats"
)

// Text writes the result for a terminal.
func (r *Result) Text(out io.Writer) error {
	fmt.Fprintf(out, "%s: %s\n", r.Name, report.Plain(r.Question))
	for _, f := range r.Findings {
		fmt.Fprintln(out, "· "+report.Plain(f))
	}
	fmt.Fprintf(out, "\n%s on %s rows, 95 %% intervals over cases and seeds; seconds of one seed\n", r.Headline, r.Part)
	t := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	fmt.Fprintln(t, "  arm\tmeasured\taccuracy\tper seed\tparses\twall\tCPU\titems")
	for _, a := range r.Arms {
		if a.Accuracy.N == 0 {
			fmt.Fprintf(t, "  %s\t%s\tnot run\t\t\t\t\t\n", report.Plain(a.Name), a.Measure)
			continue
		}
		fmt.Fprintf(t, "  %s\t%s\t%s\t%s\t%.1f %%\t%s\t%s\t%s\n",
			report.Plain(a.Name), a.Measure, Percent(a.Accuracy.Interval), a.PerSeed(), 100*a.Parsed,
			duration(a.Cost.WallSeconds), a.Cost.CPU(), a.Cost.items())
	}
	if err := t.Flush(); err != nil {
		return err
	}
	if len(r.Differences) > 0 {
		fmt.Fprintf(out, "\npaired differences, points\n")
		fmt.Fprintln(t, "  difference\tover cases and seeds\tover cases alone\tp, corrected\tper seed\twon\tlost")
		for _, d := range r.Differences {
			fmt.Fprintf(t, "  %s − %s\t%s\t%s\t%s\t%s\t%d\t%d\n", report.Plain(d.A), report.Plain(d.B),
				Points(d.Difference.Interval), Points(d.Difference.Cases), d.Ps(), d.PerSeed(), d.Won, d.Lost)
		}
	}
	return t.Flush()
}

// Ps are P and P after the correction; "*" marks a primary outcome.
func (d DifferenceResult) Ps() string {
	if d.Difference.N == 0 {
		return ""
	}
	s := fmt.Sprintf("%.3f, %.3f", d.Difference.P, d.Corrected)
	if d.Primary {
		s += " *"
	}
	return s
}

// PerSeed lists the accuracy of each seed, in percent.
func (a ArmResult) PerSeed() string {
	var parts []string
	for _, x := range a.Accuracy.BySeed {
		parts = append(parts, fmt.Sprintf("%.1f", 100*x))
	}
	return strings.Join(parts, ", ")
}

// CPU formats the processor time.
func (c ArmCost) CPU() string {
	if c.CPUSeconds == nil {
		return "not known"
	}
	return duration(*c.CPUSeconds)
}

// items formats the time of computed and of reused items.
func (c ArmCost) items() string {
	return fmt.Sprintf("%s + %s reused", duration(c.ItemSeconds), duration(c.ReusedSeconds))
}

func duration(seconds float64) string {
	if seconds < 10 {
		return fmt.Sprintf("%.1f s", seconds)
	}
	return (time.Duration(seconds) * time.Second).String()
}

// ArmsCSV writes a line per arm and round. In the column measured it marks the round that the
// arm's measure names. Shares are 0..1.
func (r *Result) ArmsCSV(out io.Writer) error {
	head := []string{"arm", "policy", "measured"}
	head = append(head, crossedHead("accuracy", "accuracy_by_seed")...)
	head = append(head,
		"trees", "mixed_trees", "pairs", "steps", "answers", "tokens", "chosen_change", "rejected_change",
		"wall_seconds", "cpu_seconds", "item_seconds", "shared_seconds", "settings")
	rows := [][]string{head}
	for _, a := range r.Arms {
		for i, rd := range a.Rounds {
			measured := rd.Round == a.LastRound || a.LastRound > rd.Round && i == len(a.Rounds)-1
			row := []string{a.Name, rd.Name, fmt.Sprint(measured)}
			row = append(row, crossedCells(rd.Accuracy)...)
			rows = append(rows, append(row,
				number(rd.Trees), number(rd.Mixed), number(rd.Pairs), number(rd.Steps),
				number(rd.Answers), number(rd.Tokens),
				number(rd.Chosen), number(rd.Rejected),
				number(a.Cost.WallSeconds), orEmpty(a.Cost.CPUSeconds),
				number(a.Cost.ItemSeconds), number(a.Cost.ReusedSeconds), strings.Join(a.Settings, " ")))
		}
	}
	return csv.NewWriter(out).WriteAll(rows)
}

// DifferencesCSV writes a line per compared pair. Differences are of shares, −1..1.
func (r *Result) DifferencesCSV(out io.Writer) error {
	head := append([]string{"a", "b"}, crossedHead("difference", "by_seed")...)
	rows := [][]string{append(head, "won", "lost", "same_policy", "primary", "p", "p_corrected",
		"steps_a", "steps_b", "answers_a", "answers_b", "tokens_a", "tokens_b", "note")}
	for _, d := range r.Differences {
		row := append([]string{d.A, d.B}, crossedCells(d.Difference)...)
		rows = append(rows, append(row, fmt.Sprint(d.Won), fmt.Sprint(d.Lost), fmt.Sprint(d.Same),
			fmt.Sprint(d.Primary), shareOf(d.Difference.N, d.Difference.P), shareOf(d.Difference.N, d.Corrected),
			number(d.Spent[0].Steps), number(d.Spent[1].Steps), number(d.Spent[0].Answers), number(d.Spent[1].Answers),
			number(d.Spent[0].Tokens), number(d.Spent[1].Tokens), d.Note))
	}
	return csv.NewWriter(out).WriteAll(rows)
}

// RunsCSV writes a line per run and policy. The costs of the run are repeated in each of its
// lines; item seconds are those of the policy.
func (r *Result) RunsCSV(out io.Writer) error {
	rows := [][]string{{"run", "arm", "seed", "run_status", "policy", "policy_status", "accuracy", "cases", "parsed",
		"trees", "mixed_trees", "pairs", "steps", "answers", "tokens", "chosen_change", "rejected_change",
		"items", "items_shared", "item_seconds", "shared_seconds", "run_wall_seconds", "run_cpu_seconds", "digest"}}
	for _, run := range r.Runs {
		for _, p := range run.Policies {
			rows = append(rows, []string{run.Run, run.Arm, fmt.Sprint(run.Seed), run.Status, p.Name, p.Status,
				shareOf(p.N, p.Accuracy), fmt.Sprint(p.N), shareOf(p.N, p.Parsed),
				fmt.Sprint(p.Trees), fmt.Sprint(p.Mixed), fmt.Sprint(p.Pairs), fmt.Sprint(p.Steps),
				fmt.Sprint(p.Answers), fmt.Sprint(p.Tokens),
				number(p.Chosen), number(p.Rejected),
				fmt.Sprint(p.Work.Items), fmt.Sprint(p.Work.Reused),
				number(p.Work.Seconds), number(p.Work.ReusedSeconds),
				number(run.Cost.WallSeconds), orEmpty(run.Cost.CPUSeconds), p.Digest})
		}
	}
	return csv.NewWriter(out).WriteAll(rows)
}

// crossedHead names the columns of crossedCells.
func crossedHead(mean, bySeed string) []string {
	return []string{mean, "low", "high", "cases_low", "cases_high", "cases", "seeds", bySeed}
}

func crossedCells(x stats.Crossed) []string {
	return []string{shareOf(x.N, x.Mean), shareOf(x.N, x.Low), shareOf(x.N, x.High),
		shareOf(x.N, x.Cases.Low), shareOf(x.N, x.Cases.High), fmt.Sprint(x.N), fmt.Sprint(x.Seeds), shares(x.BySeed)}
}

func share(x float64) string { return fmt.Sprintf("%.5f", x) }

// shareOf formats a share over n cases; it is empty if n is 0, since nothing was measured.
func shareOf(n int, x float64) string {
	if n == 0 {
		return ""
	}
	return share(x)
}

func number(x float64) string { return fmt.Sprintf("%.5g", x) }

func shares(xs []float64) string {
	var parts []string
	for _, x := range xs {
		parts = append(parts, share(x))
	}
	return strings.Join(parts, " ")
}

// orEmpty is empty for a number that is not known.
func orEmpty(x *float64) string {
	if x == nil {
		return ""
	}
	return number(*x)
}
