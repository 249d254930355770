package main

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"itool/ops/progress"
)

// display shows the progress of a run on the app's stderr.
func (a *app) display() progress.Display {
	d := progress.Display{Lines: a.errs, Log: a.log}
	if a.screen.live {
		d.Table = a.screen.show
	}
	return d
}

// screen is stderr. On a terminal it keeps a few status lines at the bottom and writes logs
// above them; elsewhere it only writes.
type screen struct {
	mu    sync.Mutex
	w     io.Writer
	live  bool // a terminal: status lines are redrawn in place
	lines []string
}

func newScreen(w io.Writer, live bool) *screen { return &screen{w: w, live: live} }

// isTerminal is also true for /dev/null, which does no harm.
func isTerminal(f *os.File) bool {
	st, err := f.Stat()
	return err == nil && st.Mode()&os.ModeCharDevice != 0 && os.Getenv("TERM") != "dumb"
}

// Write writes above the status lines.
func (s *screen) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.erase()
	n, err := s.w.Write(p)
	s.draw()
	return n, err
}

// show replaces the status lines; without a terminal it does nothing.
func (s *screen) show(lines []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.live {
		return
	}
	s.erase()
	s.lines = lines
	s.draw()
}

func (s *screen) erase() {
	if n := len(s.lines); n > 0 {
		fmt.Fprintf(s.w, "\x1b[%dA\x1b[J", n)
	}
}

func (s *screen) draw() {
	if len(s.lines) > 0 {
		fmt.Fprintln(s.w, strings.Join(s.lines, "\n"))
	}
}
