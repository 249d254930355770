package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"itool/ops/site"
)

// local is a run in a folder of this machine.
type local struct{ Run, Dir string }

// localRuns are the runs in the folders below a folder, such as ./itool-runs, as far as that can be seen without
// starting their brokers: those that their brokers hold, and a retired one by the name of its folder.
func localRuns(parent string) (all []local) {
	entries, _ := os.ReadDir(parent) // without it there are none
	for _, e := range entries {
		dir := filepath.Join(parent, e.Name())
		if !site.HasRuns(dir) {
			continue
		}
		runs := site.Runs(dir)
		if len(runs) == 0 {
			runs = []string{e.Name()}
		}
		for _, run := range runs {
			all = append(all, local{run, dir})
		}
	}
	return all
}

// findLocal is the folder below parent that holds a run: the one that is named after it, else one with a run of
// that name, such as a fork or an arm of a laboratory; "": there is none.
func findLocal(parent, run string) string {
	if own := filepath.Join(parent, run); run != "" && site.HasRuns(own) {
		return own
	}
	for _, l := range localRuns(parent) {
		if l.Run == run {
			return l.Dir
		}
	}
	return ""
}

// folders are the different folders of runs.
func folders(all []local) (dirs []string) {
	for _, l := range all {
		if !slices.Contains(dirs, l.Dir) {
			dirs = append(dirs, l.Dir)
		}
	}
	return dirs
}

// names lists runs for an error, the first twenty of them.
func names(all []local) string {
	const most = 20
	var out []string
	for _, l := range all {
		out = append(out, l.Run)
	}
	if len(out) > most {
		out = append(out[:most], fmt.Sprintf("and %d more", len(all)-most))
	}
	return strings.Join(out, ", ")
}

// elsewhere adds to an error the runs in ./itool-runs; "": there are none.
func elsewhere(format string) string {
	all := localRuns(runsDir)
	if len(all) == 0 {
		return ""
	}
	return fmt.Sprintf(format, names(all))
}
