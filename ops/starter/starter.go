// Package starter writes settings for a published model, each with its reason, and what a run will take: memory from
// the sizes of arrays, time from a short measurement on this machine.
//
//	err := starter.Write(w, "qwen2.5-7b", "itool.yaml", starter.Machine{Device: dev, Now: time.Now})
//
// It downloads nothing and reads no model: the shapes are in models.go. What it writes is a configuration for
// itool run --config.
package starter

import (
	"fmt"
	"io"
	"strings"
	"time"

	"itool/ops/config"
	"itool/ops/estimate"
	"itool/stages/policy/kernel"
)

// Machine is where the run will be, for its time. Without a device no time is measured.
type Machine struct {
	Device kernel.Device
	Now    func() time.Time // a clock
}

// UnknownError says that there are no settings for a model.
type UnknownError struct{ Name string }

func (e *UnknownError) Error() string {
	return fmt.Sprintf("%.80q is not known; there are settings for %s. For another model take those of a model of its "+
		"size, or itool init without --for", e.Name, strings.Join(Names(), ", "))
}

// The rows that times are given for.
const (
	typicalRows   = 1000
	typicalTokens = 450 // of a row of BFCL-Live: prompt and answer
)

// large is the number of parameters from which four bits are suggested, and fewer trees.
const large = 2_500_000_000

// setting is a line of the file.
type setting struct{ section, name, value, why string }

// Write writes the settings for a model as a file that will be called file. The error is an *UnknownError, or of w.
func Write(w io.Writer, name, file string, at Machine) error {
	m, ok := find(name)
	if !ok {
		return &UnknownError{name}
	}
	all := m.settings()
	var sets []string
	for _, s := range all {
		sets = append(sets, s.section+"."+s.name+"="+s.value)
	}
	cfg, err := config.Load(config.Default(), "", sets)
	if err != nil {
		return err
	}
	var b strings.Builder
	m.head(&b, file)
	if err := m.memory(&b, cfg); err != nil {
		return err
	}
	if at.Device != nil {
		m.time(&b, cfg, at)
	}
	section := ""
	for _, s := range all {
		if s.section != section {
			section = s.section
			fmt.Fprintf(&b, "\n%s:\n", section)
		}
		fmt.Fprintf(&b, "  # %s\n  %s: %s\n", strings.ReplaceAll(s.why, "\n", "\n  # "), s.name, s.value)
	}
	_, err = io.WriteString(w, b.String())
	return err
}

// settings are those that differ from the defaults, with reasons.
func (m known) settings() []setting {
	trees, size := "100", m.shape.Parameters()
	switch {
	case size >= large:
		trees = "30"
	case size >= large/4:
		trees = "60"
	}
	all := []setting{
		{"line", "evaluate_rows", "200", "Every policy answers these held-out rows. 200 tell apart shares that " +
			"differ by some\n7 points; 0 takes all."},
		{"split", "test_share", "0.2", "Holds out a fifth, by sets of tools. Without it accuracy is measured on the " +
			"rows that\nchose the warm-up's weights."},
	}
	if m.system {
		all = append(all, setting{"split", "tools_in", "system",
			"The chat template leaves out tools: they are written into the system message."})
	}
	if context := m.shape.MaxPositions; context > 4096 {
		all = append(all, setting{"split", "max_tokens", "4096", fmt.Sprintf("Longer rows are dropped and counted. "+
			"A training has room for its longest row, and\n%d tokens, the model's context, would take %d times the "+
			"memory of these.", context, context/4096)})
	}
	return append(all,
		setting{"select", "max_trees", trees, "A round's time is mostly its trees. In our runs each gave about five " +
			"pairs; an update\nneeds 50 (update.min_pairs)."},
		setting{"expand", "leaves", "4", "Four leaves of a tree are drawn together: one reading of the weights " +
			"serves them all.\nThe tree is another one than with 1."})
}

func gigabytes(bytes int64) string { return fmt.Sprintf("%.2f", float64(bytes)/1e9) }

// head says what the file is for, and how to use it.
func (m known) head(w io.Writer, file string) {
	fmt.Fprintf(w, "# Settings for %s: %s, %.2f billion parameters.\n"+
		"# What is not here keeps its default, which itool init - prints.\n#\n#   hf download %s --local-dir %s\n",
		m.name, m.hub, float64(m.shape.Parameters())/1e9, m.hub, m.name)
	base := m.name
	if m.shape.Parameters() >= large {
		base += "-nf4"
		fmt.Fprintf(w, "#   itool quantize --model %s --out %s\n", m.name, base)
	}
	fmt.Fprintf(w, "#   itool run DATA --base %s --config %s\n", base, file)
}

// memory prints what the arrays of the engine take.
func (m known) memory(w io.Writer, cfg config.Config) error {
	wide, err := estimate.MemoryOf(m.shape, false, cfg)
	if err != nil {
		return err
	}
	four, err := estimate.MemoryOf(m.shape, true, cfg)
	if err != nil {
		return err
	}
	form := "16 bits"
	if !m.shape.Wraps("") {
		form = "float32"
	}
	fmt.Fprintf(w, "#\n# Memory at least, in GB: the weights, one tree of %d tokens, and a training on %d tokens "+
		"at once.\n# A GPU needs all of it; a CPU maps large weights from their file, which all workers share.\n"+
		"#   %-26s %8s %8s\n", cfg.Expand.TokenBudget, cfg.Warmup.Tokens, "", form, "4 bits")
	row := func(what string, a, b int64) { fmt.Fprintf(w, "#   %-26s %8s %8s\n", what, gigabytes(a), gigabytes(b)) }
	sizes := map[string]int64{}
	for _, p := range four {
		sizes[p.For] = p.Bytes
	}
	for _, p := range wide {
		row(p.For, p.Bytes, sizes[p.For])
	}
	row("sum", wide.Sum(), four.Sum())
	return nil
}

// time prints how long a typical run takes on the machine.
func (m known) time(w io.Writer, cfg config.Config, at Machine) {
	speed, err := estimate.MeasureShape(at.Device, m.shape, at.Now)
	if err != nil {
		fmt.Fprintf(w, "#\n# Time: not measured on %s: %v\n", at.Device.Name(), err)
		return
	}
	work := estimate.Count(typicalRows, estimate.Held{}, typicalTokens, cfg)
	fmt.Fprintf(w, "#\n# Time on this machine (%s): roughly %s, if nothing else runs, for\n# %s;\n"+
		"# %d tokens to a row. From a short measurement of products in bf16, within a factor of 3 or so: itool "+
		"estimate\n# measures a pilot. For another device give the same command there, with --device.\n",
		at.Device.Name(), roughly(work.Seconds(speed, cfg)), work, typicalTokens)
}

// roughly is a time in seconds, for people.
func roughly(seconds float64) string {
	switch hours := seconds / 3600; {
	case hours < 1:
		return fmt.Sprintf("%.0f minutes", max(1, seconds/60))
	case hours < 48:
		return fmt.Sprintf("%.0f hours", hours)
	default:
		return fmt.Sprintf("%.0f days", hours/24)
	}
}
