package ui

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"itool/ops/courier"
	"itool/ops/site"
	"itool/schemas"
)

// Folders is the source of the runs in the folders below dir, as itool run leaves them: each has a broker and a
// store of its own. A folder is opened while somebody looks and closed soon after, so that the page is in no
// way of those who go on with a run. Close it.
func Folders(dir string, log *slog.Logger) *Many {
	return &Many{dir: dir, log: log, open: map[string]*folder{}}
}

// Many is a folder of runs' folders.
type Many struct {
	dir string
	log *slog.Logger

	mu   sync.Mutex
	open map[string]*folder
}

// folder is one open run.
type folder struct {
	site  *site.Site
	users int
	timer *time.Timer // closes it when there are none
}

// idleTime is how long a folder stays open without a visitor: two requests often follow one another.
const idleTime = 2 * time.Second

// List lists the folders, the last one that was worked on first. What a run is like is in its folder's broker,
// which is not opened for the list.
func (m *Many) List(context.Context) ([]Listed, error) {
	entries, err := os.ReadDir(m.dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var all []Listed
	for _, e := range entries {
		path := filepath.Join(m.dir, e.Name())
		if schemas.ValidName(e.Name()) != nil || !site.HasRuns(path) {
			continue
		}
		l := Listed{Run: e.Name()}
		if info, err := os.Stat(filepath.Join(path, "report.html")); err == nil {
			l.Status, l.Created = "done", info.ModTime().UTC().Format(time.RFC3339)
		} else if info, err := e.Info(); err == nil {
			l.Created = info.ModTime().UTC().Format(time.RFC3339)
		}
		if _, err := os.Stat(filepath.Join(path, "address")); err == nil {
			l.Status = "running"
		}
		all = append(all, l)
	}
	slices.SortStableFunc(all, func(a, b Listed) int { return strings.Compare(b.Created, a.Created) })
	return all, nil
}

// Open opens a run's folder, or joins the process that works in it.
func (m *Many) Open(ctx context.Context, run string) (*courier.Courier, func(), error) {
	if err := schemas.ValidName(run); err != nil {
		return nil, nil, err
	}
	path := filepath.Join(m.dir, run)
	if !site.HasRuns(path) {
		return nil, nil, fmt.Errorf("%s holds no run named %s: %w", m.dir, run, fs.ErrNotExist)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	f := m.open[run]
	if f == nil {
		s, err := site.OpenFolder(context.WithoutCancel(ctx), path, site.NoPort, m.log)
		if err != nil {
			return nil, nil, err
		}
		f = &folder{site: s}
		m.open[run] = f
	}
	if f.timer != nil {
		f.timer.Stop()
	}
	f.users++
	var once sync.Once
	return f.site.Courier, func() { once.Do(func() { m.release(run, f) }) }, nil
}

func (m *Many) release(run string, f *folder) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if f.users--; f.users > 0 {
		return
	}
	f.timer = time.AfterFunc(idleTime, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		if f.users == 0 && m.open[run] == f {
			delete(m.open, run)
			f.site.Close()
		}
	})
}

// Close closes all folders.
func (m *Many) Close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for run, f := range m.open {
		if f.timer != nil {
			f.timer.Stop()
		}
		delete(m.open, run)
		f.site.Close()
	}
}
