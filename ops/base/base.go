// Package base finds the model that a user names as a base: a folder in Hugging Face format, a GGUF file,
// or a run, whose policy with its adapter merged becomes the base of another run.
//
// What must be made of a file or of a run is made once and kept in a folder for that, under a digest.
// Nothing is downloaded: a name such as org/model is refused with how to fetch it. A folder that is not
// complete is refused with what is missing.
//
//	dir, err := base.Finder{Runs: "itool-runs"}.Find(ctx, "model.gguf")
package base

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"itool/ops/courier"
	"itool/ops/site"
	"itool/stages/policy/kernel"
)

// Finder finds bases.
type Finder struct {
	Runs    string           // folder that has the folders of runs, as `itool run` makes them
	Courier *courier.Courier // of a place that may have runs besides; nil: none
	Cache   string           // folder for what is made; empty: within the user's cache folder
	Device  kernel.Device    // opens and compares what is made
	Log     *slog.Logger
	Say     func(format string, args ...any) // gets a line about what was made or chosen
}

// NotFoundError says that a name is neither a folder, nor a file, nor a run.
type NotFoundError struct{ text string }

func (e *NotFoundError) Error() string { return e.text }

// Find returns the folder of the base that name means: the path of a folder or of a GGUF file; the name of
// a run, or the path of its folder, with @ROUND for the policy of that round instead of the last. The
// folder has all parts of a base, which may still be broken. Errors begin with the name.
func (f Finder) Find(ctx context.Context, name string) (dir string, err error) {
	if st, err := os.Stat(name); err == nil {
		switch {
		case !st.IsDir():
			dir, err = f.file(ctx, name)
		case site.HasRuns(name):
			dir, err = f.ofFolder(ctx, name, "", last)
		default:
			dir, err = name, complete(name)
		}
		return dir, at(name, err)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return "", err // a path error, with the name
	}
	run, round, err := splitRound(name)
	if err != nil {
		return "", at(name, err)
	}
	for _, place := range []struct{ dir, run string }{
		{run, ""},                               // the folder of a run
		{filepath.Dir(run), filepath.Base(run)}, // a run in a folder that has several, as of `itool up`
		{filepath.Join(f.Runs, run), ""},
	} {
		if site.HasRuns(place.dir) {
			dir, err = f.ofFolder(ctx, place.dir, place.run, round)
			return dir, at(name, err)
		}
	}
	if f.Courier != nil {
		if m, err := f.Courier.StartedAs(ctx, run); err == nil && m != nil {
			dir, err = f.ofRun(ctx, f.Courier, run, round)
			return dir, at(name, err)
		}
	}
	return "", f.notFound(name)
}

// at puts the name before an error.
func at(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", name, err)
}

// last stands for the last policy of a run.
const last = -2

// splitRound cuts NAME@ROUND. −1 is the run's own base, 0 the warm-up.
func splitRound(name string) (run string, round int, err error) {
	i := strings.LastIndex(name, "@")
	if i < 1 {
		return name, last, nil
	}
	round, err = strconv.Atoi(name[i+1:])
	if err != nil || round < -1 {
		return "", 0, fmt.Errorf("%q is no round: a run's policy is RUN@0 (warm-up), RUN@1 and so on; "+
			"RUN alone is its last one", name[i+1:])
	}
	return name[:i], round, nil
}

// hubName is how models are named on huggingface.co.
var hubName = regexp.MustCompile(`^(?:https?://|hf://)?(?:huggingface\.co/)?([A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)$`)

// notFound says what to do about a name that means nothing here.
func (f Finder) notFound(name string) error {
	if m := hubName.FindStringSubmatch(name); m != nil {
		local := m[1][strings.Index(m[1], "/")+1:]
		return &NotFoundError{fmt.Sprintf("%s: no such folder, file or run is here, and itool downloads nothing; "+
			"fetch it first, as with hf download %s --local-dir %s, and name that folder", name, m[1], local)}
	}
	if strings.Contains(name, "://") {
		return &NotFoundError{fmt.Sprintf("%s: itool downloads nothing: fetch the model first, and name its folder or "+
			"GGUF file", name)}
	}
	known := ""
	if found, _ := filepath.Glob(filepath.Join(f.Runs, "*", "broker", "jetstream")); len(found) > 0 {
		for i, b := range found {
			found[i] = filepath.Base(filepath.Dir(filepath.Dir(b)))
		}
		known = "; the runs here are " + strings.Join(found, ", ")
	}
	return &NotFoundError{fmt.Sprintf("%s: no such folder, GGUF file or run is here%s", name, known)}
}

// isGGUF looks at the first bytes.
func isGGUF(name string) (bool, error) {
	f, err := os.Open(name)
	if err != nil {
		return false, err
	}
	defer f.Close()
	magic, err := bufio.NewReader(f).Peek(4)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, err
	}
	return string(magic) == "GGUF", nil
}
