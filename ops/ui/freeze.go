package ui

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"itool/ops/courier"
	"itool/ops/report"
)

// Freeze writes the page of a run as one file that needs no server and loads nothing: report.html. c may be nil:
// examples and trees are then left out, as for a run that was retired.
func Freeze(_ context.Context, w io.Writer, r *report.Report, _ *courier.Courier) error {
	p := &page{Run: r.Run, Report: r, Failed: len(r.Failures)}
	if err := render(w, "page", p); err != nil {
		return fmt.Errorf("report: %w", err)
	}
	return nil
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
	p.Live = false
	text, err := toString("page", p)
	if err != nil {
		return err
	}
	w.Header().Set("Content-Disposition", `attachment; filename="report.html"`)
	_, err = io.WriteString(w, text)
	return err
}
