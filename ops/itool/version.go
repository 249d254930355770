package main

import (
	"fmt"
	"os"
	"runtime/debug"
)

// version is the commit that the binary was built from, or the module's version.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && len(s.Value) >= 12 {
			return s.Value[:12]
		}
	}
	return info.Main.Version
}

// workerName says who wrote a record, with version and kernel level: a result that
// surprises can be traced to the machine and the instructions that made it.
func workerName(device string) string {
	host, err := os.Hostname()
	if err != nil {
		host = "host"
	}
	return fmt.Sprintf("%s-%d itool %s %s", host, os.Getpid(), version(), device)
}
