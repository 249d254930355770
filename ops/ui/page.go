package ui

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"itool/broker"
	"itool/ops/report"
	"itool/stages/evaluate/stats"
)

// page is what the panels of a run show.
type page struct {
	Run     string
	Live    bool // the panels are kept current; false: it is a file
	Report  *report.Report
	Stages  []stage
	Left    string // "": the run is over
	Elapsed string
	Waits   []string
	Failed  int
	Frozen  Frozen // of a file

	o Options
}

// see takes over where the run stands.
func (p *page) see(l *looker, now time.Time) {
	p.Stages = l.stages(now)
	p.Left, p.Elapsed = l.left(now), l.elapsed(now)
	p.Waits, p.Failed = l.waits, l.view.Failed
	if l.view.End == nil {
		p.Waits = append(l.view.Waits(), p.Waits...)
	}
	if p.Report != nil {
		for i := range p.Stages {
			for _, f := range p.Report.Failures {
				if f.Stage == p.Stages[i].Name {
					p.Stages[i].Failed++
				}
			}
		}
	}
}

// panelNames are the templates that make up the page, each a part that is sent when it changes.
var panelNames = []string{
	"head", "verdict", "accuracy", "errors", "line", "commands",
	"curves", "data", "lineage", "diagnostics", "settings", "failed", "benchmark",
}

// panels renders all panels.
func (p *page) panels() (map[string]string, error) {
	all := map[string]string{"trouble": ""}
	for _, name := range panelNames {
		text, err := toString(name, p)
		if err != nil {
			return nil, err
		}
		all[name] = text
	}
	return all, nil
}

// Status is what the head says of the run.
func (p *page) Status() string {
	switch {
	case p.Report == nil:
		return "published"
	case p.Report.Stalled != "":
		return "stalled"
	case p.Report.Running() && len(p.Waits) > 0:
		return "waiting"
	}
	return p.Report.Status
}

// Verdict is what a reader must know first.
func (p *page) Verdict() report.Verdict {
	if p.Report == nil {
		v := report.Verdict{Tone: report.Going, Text: "The run is published; it begins when a keeper opens it"}
		if len(p.Waits) > 0 {
			v.Next = report.Plain(p.Waits[0])
		}
		return v
	}
	v := p.Report.Verdict()
	if v.Warning == "" && len(p.Waits) > 0 && p.Report.Running() {
		v.Warning = report.Plain(p.Waits[0])
	}
	return v
}

// command is a line to copy.
type command struct{ What, Line string }

// Commands are what can be done with the run now.
func (p *page) Commands() []command {
	f := p.o.Flags
	if p.Report == nil || p.Report.Running() {
		return []command{
			{"watch", "itool watch " + p.Run + f}, {"resume", "itool resume " + p.Run + f},
			{"cancel", "itool cancel " + p.Run + f},
		}
	}
	all := []command{{"export", "itool export " + p.Run + " --out adapter" + f}, {"serve", "itool serve " + p.Run + f}}
	if p.Report.Final() == nil {
		all = nil
	}
	return append(all, command{"go on from a round",
		fmt.Sprintf("itool fork %s --from-round %d --name %s-2%s", p.Run, max(0, len(p.Report.Rounds)-1), p.Run, f)})
}

// Evaluated are the policies with an accuracy.
func (p *page) Evaluated() []report.Policy {
	if p.Report == nil {
		return nil
	}
	_, policies := p.Report.ErrorTypes()
	return policies
}

// MayChange reports whether visitors may queue failed items again.
func (p *page) MayChange() bool { return p.Live && p.o.MayChange }

// read makes the page of a run for one request.
func (s *Server) read(ctx context.Context, run string) (*page, func(), error) {
	c, release, err := s.o.Source.Open(ctx, run)
	if err != nil {
		return nil, nil, err
	}
	l, err := openLooker(ctx, c, run)
	if err == nil {
		err = l.look(ctx, c, time.Now())
	}
	if err != nil {
		release()
		return nil, nil, err
	}
	p := &page{Run: run, Live: true, o: s.o}
	if p.Report, err = report.Gather(ctx, c, run); err != nil && !errors.Is(err, broker.ErrNoRun) &&
		!errors.Is(err, broker.ErrNotExist) {
		release()
		return nil, nil, err
	}
	p.see(l, time.Now())
	return p, release, nil
}

// run shows a run.
func (s *Server) run(w http.ResponseWriter, r *http.Request) error {
	name, err := runName(r)
	if err != nil {
		return err
	}
	p, release, err := s.read(r.Context(), name)
	if err != nil {
		return err
	}
	defer release()
	text, err := toString("page", p)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, err = w.Write([]byte(text))
	return err
}

// runs lists all runs; q searches in their names and states.
func (s *Server) runs(w http.ResponseWriter, r *http.Request) error {
	all, err := s.o.Source.List(r.Context())
	if err != nil {
		return err
	}
	q := strings.ToLower(strings.TrimSpace(r.URL.Query().Get("q")))
	var found []Listed
	for _, l := range all {
		if q == "" || strings.Contains(strings.ToLower(l.Run+" "+l.Status), q) {
			found = append(found, l)
		}
	}
	text, err := toString("runs", map[string]any{"Query": q, "Runs": found, "All": len(all)})
	if err != nil {
		return err
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, err = w.Write([]byte(text))
	return err
}

// tab is one of the details.
type tab struct{ Name, Title string }

// Tabs are the details, in their order.
func (p *page) Tabs() []tab {
	return []tab{
		{"curves", "Curves"}, {"examples", "Examples"}, {"trees", "Trees"}, {"data", "Data"}, {"lineage", "Lineage"},
		{"diagnostics", "Diagnostics"}, {"settings", "Settings"}, {"failed", "Failed items"},
		{"benchmark", "Evaluation"},
	}
}

// Guarded reports whether the guard checked any update.
func (p *page) Guarded() bool {
	for _, x := range p.Report.Policies {
		if len(x.Guards()) > 0 {
			return true
		}
	}
	return false
}

// Categories are those of the first evaluated policy; the others have the same.
func (p *page) Categories() []stats.Category {
	all, _ := p.Report.Categories()
	return all
}

// TimeShare is a stage's time as a share of the longest.
func (p *page) TimeShare(seconds float64) string {
	longest := 0.0
	for _, t := range p.Report.Seconds {
		longest = max(longest, t.Seconds)
	}
	return fmt.Sprintf("%.1f%%", 100*seconds/max(longest, 1e-9))
}

// mostFailures is how many failed items are shown.
const mostFailures = 200

// FirstFailures are the failed items that are shown.
func (p *page) FirstFailures() []report.Failure {
	return p.Report.Failures[:min(mostFailures, len(p.Report.Failures))]
}

// MoreFailures counts the failed items that are not shown.
func (p *page) MoreFailures() int { return max(0, len(p.Report.Failures)-mostFailures) }
