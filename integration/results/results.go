// Package results keeps the figures of integration/RESULTS.md. Experiments write them, not people: each has one
// section, which it replaces.
//
//	r := results.Begin("Chaos: a queue of search trees")
//	...
//	err := r.Write("| killed | done |\n|---|---|\n| 30 | 400 |")
//
// Without ITOOL_RESULTS in the environment an experiment is an ordinary test: small, and nothing is written.
package results

import (
	"bufio"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// Variable names the file to write, in the environment. `task results` sets it.
const Variable = "ITOOL_RESULTS"

// Wanted tells whether figures are to be written: then experiments have their full size.
func Wanted() bool { return os.Getenv(Variable) != "" }

// Sections are the headings of the file, in their order.
var Sections = []string{
	"Acceptance of the whole",
	"Acceptance of the whole with a pretrained model",
	"Chaos: a queue of search trees",
	"Chaos: trainers",
	"Cluster: a leader that dies, a node that is cut off",
	"Cluster: every verb through every node",
	"Cluster: 1, 50 and 200 runs",
	"Cluster: a store that is away",
	"Scaling: 1 to 64 workers",
	"Scaling: a million items",
	"Scaling: from zero and back",
	"Past these machines",
	"Bad weather",
}

const head = `# Results

Figures of the queue under load and in trouble. ` + "`task results`" + ` makes this file: each experiment is a test of
the same name in ` + "`integration`" + `, in its full size; in an ordinary test run the same experiment is small.
Nothing below was written by hand. Each section names the machine and its load: with a load far above the number of
cores, times say little, and what was lost or done twice says the more.
`

// Report is one experiment that runs.
type Report struct {
	section string
	began   time.Time
	load    string
}

// Begin notes the time and how busy the machine is.
func Begin(section string) *Report {
	return &Report{section: section, began: time.Now(), load: load()}
}

// Write replaces the section in the file, if figures are wanted. text is Markdown.
func (r *Report) Write(text string) error {
	if !Wanted() {
		return nil
	}
	if !slices.Contains(Sections, r.section) {
		return fmt.Errorf("results: %q is not in Sections", r.section)
	}
	file := os.Getenv(Variable)
	old, err := os.ReadFile(file)
	if err != nil && !os.IsNotExist(err) {
		return fmt.Errorf("results: %w", err)
	}
	took := time.Since(r.began).Round(time.Second)
	text = fmt.Sprintf("%s; load average %s at the start, %s at the end, after %v.\n\n%s",
		Machine(), r.load, load(), took, strings.TrimSpace(text))
	return os.WriteFile(file, []byte(replace(string(old), r.section, text)), 0o600)
}

// replace is the file with this section in its place. What is in no section is written again from head.
func replace(old, section, text string) string {
	texts := map[string]string{}
	for _, part := range strings.Split("\n"+old, "\n## ")[1:] {
		name, body, _ := strings.Cut(part, "\n")
		texts[name] = strings.TrimSpace(body)
	}
	texts[section] = text
	var b strings.Builder
	b.WriteString(head)
	for _, name := range Sections {
		if body, ok := texts[name]; ok {
			fmt.Fprintf(&b, "\n## %s\n\n%s\n", name, body)
		}
	}
	return b.String()
}

// Machine describes this machine, without its name.
func Machine() string {
	return fmt.Sprintf("%d cores, %s, %s/%s", runtime.NumCPU(), processor(), runtime.GOOS, runtime.GOARCH)
}

func processor() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return "unknown processor"
	}
	defer f.Close()
	for s := bufio.NewScanner(f); s.Scan(); {
		if name, value, ok := strings.Cut(s.Text(), ":"); ok && strings.TrimSpace(name) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "unknown processor"
}

// load is the load average of the last minute, "?" where the system does not say.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if fields := strings.Fields(string(text)); err == nil && len(fields) > 0 {
		return fields[0]
	}
	return "?"
}

// Table is a Markdown table. The first row is its head.
func Table(rows ...[]string) string {
	var b strings.Builder
	for i, row := range rows {
		b.WriteString("| " + strings.Join(row, " | ") + " |\n")
		if i == 0 {
			b.WriteString(strings.Repeat("|---", len(row)) + "|\n")
		}
	}
	return b.String()
}
