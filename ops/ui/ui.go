// Package ui serves the page of a run: what came of it, where it stands, where it is wrong, what to do next.
//
//	s := ui.New(ui.Options{Source: ui.Of(courier), Key: key, Log: log})
//	defer s.Close()
//	err := http.Serve(listener, s)
//
// The page is made of panels, which are rendered here; html/template escapes all that comes from a run. While
// somebody looks at a run, one goroutine watches it and sends the panels that changed (server-sent events).
// Without a watcher the server does nothing. Frozen, the same page is one file: report.html.
//
//	ui.go       routes                        guard.go    who may ask
//	hub.go      watches runs for visitors     source.go   where runs are
//	look.go     where a run stands            page.go     what the panels show
//	examples.go answers with differences      trees.go    search trees
//	freeze.go   the page as one file          web/        templates, style, script, uPlot
//
// It never changes a run, unless the server was started with a token: then failed items can be queued again.
package ui

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"time"

	"itool/broker"
	"itool/schemas"
)

//go:embed web
var web embed.FS

// Options of a Server.
type Options struct {
	Source Source
	First  string // run that "/" shows; "": the list of runs
	// Key is what visitors must know: it is part of the address that they are given, or they type it. "": none
	// is needed, everybody who reaches the port can read.
	Key string
	// MayChange lets visitors change runs: it must be false without a key that the user chose.
	MayChange bool
	Hosts     []string // names by which the page may be asked for, besides localhost and IP addresses
	Flags     string   // of the commands that are shown, such as " --dir itool-up"
	Log       *slog.Logger
}

// Server is the handler of all pages. Close it.
type Server struct {
	o       Options
	hub     *hub
	shelf   shelf
	handler http.Handler
}

// New makes a server. It watches nothing until somebody looks.
func New(o Options) *Server {
	s := &Server{o: o, hub: newHub(o)}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", s.front)
	mux.HandleFunc("GET /runs", s.page(s.runs))
	mux.HandleFunc("GET /compare", s.page(s.compare))
	mux.HandleFunc("GET /run/{run}", s.page(s.run))
	mux.HandleFunc("GET /run/{run}/events", s.events)
	mux.HandleFunc("GET /run/{run}/report.html", s.page(s.download))
	mux.HandleFunc("GET /run/{run}/examples", s.page(s.examples))
	mux.HandleFunc("GET /run/{run}/places", s.page(s.places))
	mux.HandleFunc("GET /run/{run}/trees", s.page(s.trees))
	mux.HandleFunc("GET /run/{run}/tree/{round}/{example}", s.page(s.tree))
	mux.HandleFunc("GET /run/{run}/tree/{round}/{example}/{node}", s.page(s.children))
	mux.HandleFunc("POST /run/{run}/requeue", s.page(s.requeue))
	mux.HandleFunc("GET /web/", s.static)
	s.handler = guard{o.Key, o.Hosts, mux}
	return s
}

// ServeHTTP answers one request.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.handler.ServeHTTP(w, r) }

// Close ends all watching, and waits for it. Requests in work end soon after.
func (s *Server) Close() { s.hub.close() }

// front leads to the first run, or to the list.
func (s *Server) front(w http.ResponseWriter, r *http.Request) {
	to := "/runs"
	if s.o.First != "" {
		to = "/run/" + url.PathEscape(s.o.First)
	}
	http.Redirect(w, r, to, http.StatusSeeOther)
}

// readTime bounds the reading of a run for one request.
const readTime = 30 * time.Second

// page turns errors of a handler into pages for people.
func (s *Server) page(h func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), readTime)
		defer cancel()
		err := h(w, r.WithContext(ctx))
		if err == nil || r.Context().Err() != nil {
			return
		}
		code := http.StatusInternalServerError
		switch {
		case errors.Is(err, broker.ErrNoRun), errors.Is(err, fs.ErrNotExist), errors.Is(err, broker.ErrNotExist):
			code = http.StatusNotFound
		case errors.Is(err, errAsked):
			code = http.StatusBadRequest
		case errors.Is(err, errReadOnly):
			code = http.StatusForbidden
		default:
			s.o.Log.Warn("page", "path", r.URL.Path, "error", err)
		}
		w.WriteHeader(code)
		_ = render(w, "problem", problem{http.StatusText(code), err.Error()})
	}
}

// errAsked is about a request that no run can answer.
var errAsked = errors.New("wrong request")

type problem struct{ Title, Text string }

// runName is the run of a request.
func runName(r *http.Request) (string, error) {
	name := r.PathValue("run")
	if err := schemas.ValidName(name); err != nil {
		return "", fmt.Errorf("run %.80q: %w: %w", name, errAsked, err)
	}
	return name, nil
}

// static serves style, script and uPlot. They change with the program only.
func (s *Server) static(w http.ResponseWriter, r *http.Request) {
	switch path.Ext(r.URL.Path) {
	case ".css", ".js":
		w.Header().Set("Cache-Control", "no-cache")
		http.ServeFileFS(w, r, web, r.URL.Path[1:])
	default:
		http.NotFound(w, r)
	}
}
