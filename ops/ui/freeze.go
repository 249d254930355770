package ui

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"itool/ops/courier"
	"itool/ops/report"
)

// Freeze writes the page of a run as one file that needs no server and loads nothing: report.html. c may be nil:
// examples and trees are then left out, as for a run that was retired.
func Freeze(ctx context.Context, w io.Writer, r *report.Report, c *courier.Courier) error {
	p := &page{Run: r.Run, Report: r, Failed: len(r.Failures)}
	if c != nil {
		if err := p.freeze(ctx, c); err != nil {
			return fmt.Errorf("report: %w", err)
		}
	}
	if err := render(w, "page", p); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
}

// freeze makes the page one that needs no server.
func (p *page) freeze(ctx context.Context, c *courier.Courier) error {
	l, err := openLooker(ctx, c, p.Run)
	if err == nil {
		err = l.look(ctx, c, time.Now())
	}
	if err != nil {
		return err
	}
	p.see(l, time.Now())
	p.Live = false
	p.Frozen, err = freezeRun(ctx, c, p.Run)
	return err
}

// download sends the page of a run as one file.
func (s *Server) download(w http.ResponseWriter, r *http.Request) error {
	name, err := runName(r)
	if err != nil {
		return err
	}
	p, release, err := s.read(r.Context(), name)
	if err != nil {
		return err
	}
	defer release()
	c, release2, err := s.o.Source.Open(r.Context(), name)
	if err != nil {
		return err
	}
	defer release2()
	if err := p.freeze(r.Context(), c); err != nil {
		return err
	}
	text, err := toString("page", p)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Disposition", `attachment; filename="report.html"`)
	_, err = io.WriteString(w, text)
	return err
}
