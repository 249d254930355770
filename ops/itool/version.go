package main

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
)

// release is the version of the program. It changes here, with CHANGELOG.md; the archives
// of `task release` are named after it.
const release = "0.1.0"

// versionCmd is `itool version`.
type versionCmd struct {
	JSON bool `name:"json" help:"Print one JSON object instead of a line."`
}

// build is what this binary knows of itself.
type build struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"` // commit that it was built from; "": built outside a clone
	Time     string `json:"time,omitempty"`     // of the commit, RFC 3339
	Modified bool   `json:"modified"`           // the files differed from the commit
	Go       string `json:"go"`
	Platform string `json:"platform"` // system/architecture
	Kernels  string `json:"kernels"`  // device and kernel level that it computes with here
}

func (c *versionCmd) Run(_ context.Context, a *app) error {
	d, err := newDevice(a)
	if err != nil {
		return err
	}
	b := readBuild()
	b.Kernels = d.Name()
	if c.JSON {
		return printJSON(a.out, schemaVersion, b)
	}
	fmt.Fprintln(a.out, b)
	return nil
}

// String is the line that people read.
func (b build) String() string {
	parts := []string{"itool " + b.Version}
	if b.Revision != "" {
		revision := "revision " + short(b.Revision)
		if b.Modified {
			revision += " (modified)"
		}
		parts = append(parts, revision)
	}
	parts = append(parts, b.Go, b.Platform)
	if b.Kernels != "" {
		parts = append(parts, "kernels "+b.Kernels)
	}
	return strings.Join(parts, ", ")
}

func readBuild() build {
	b := build{Version: release, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.time":
			b.Time = s.Value
		case "vcs.modified":
			b.Modified = s.Value == "true"
		}
	}
	return b
}

// version names the program in records and exports: the commit that it was built from, or
// the release when the build does not know the commit.
func version() string {
	if b := readBuild(); b.Revision != "" {
		return short(b.Revision)
	}
	return release
}

// short cuts a commit's name to what tells it from others.
func short(revision string) string { return revision[:min(len(revision), 12)] }

// workerName says who wrote a record, with version and kernel level: a surprising result
// can be traced to the machine and the instructions that computed it.
func workerName(device string) string {
	host, err := os.Hostname()
	if err != nil {
		host = "host"
	}
	return fmt.Sprintf("%s-%d itool %s %s", host, os.Getpid(), version(), device)
}
