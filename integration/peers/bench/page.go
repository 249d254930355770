package main

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
)

// page is the whole result.
func (b *bench) page(lines []string, o options) string {
	var s strings.Builder
	fmt.Fprintf(&s, `# Beside the peers

Written by %sgo run ./integration/peers/bench%s; do not edit. Both sides compute on the same checkpoints, of random weights but for the trees, two threads each, in turns
within one run: a figure is how many times as fast the engine is (the peer's time ÷ ours), the median of %d turns and their spread, with the
median times behind it, ours first. Of a peer's variants (PyTorch: fp32, autocast, bf16 weights, compiled) the fastest counts; its name stands in the
row. On a processor without bf16 instructions PyTorch's bf16 variants are tried in the first row only: at 135 M a step took over four minutes. Prompts of a row differ.

%s

| model | job | peer | bar | ours is × as fast | spread | times, ours and theirs |
|---|---|---|---|---|---|---|
`, "`", "`", o.turns, b.machine(o))
	for _, l := range lines {
		s.WriteString(l + "\n")
	}
	return s.String()
}

// multipliesBF16 tells whether the processor has instructions for it.
func multipliesBF16() bool {
	text, err := os.ReadFile("/proc/cpuinfo")
	return err != nil || regexp.MustCompile(`\b(amx_bf16|avx512_bf16)\b`).Match(text)
}

// machine names what was measured, and on what.
func (b *bench) machine(o options) string {
	out := func(name string, args ...string) string {
		text, err := exec.Command(name, args...).Output()
		if err != nil {
			return "unknown"
		}
		return strings.TrimSpace(string(text))
	}
	versions := out(o.python, "-c", `import importlib.metadata as m
for n in ("torch", "transformers", "peft", "trl", "llama-cpp-python"):
    try: print(n, m.version(n), end=", ")
    except m.PackageNotFoundError: print("no", n, end=", ")`)
	processor := "unknown processor"
	if text, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if m := regexp.MustCompile(`model name\s*: (.*)`).FindSubmatch(text); m != nil {
			processor = string(m[1])
		}
		for _, flag := range []string{"amx_bf16", "avx512f", "avx2"} {
			if regexp.MustCompile(`\b` + flag + `\b`).Match(text) {
				processor += " with " + flag
				break
			}
		}
	}
	return fmt.Sprintf("%s, %d cores; %s, %s, commit %s; %s.", processor, runtime.NumCPU(), b.dev.Name(), runtime.Version(), out("git", "describe", "--always", "--dirty"), strings.TrimSuffix(versions, ","))
}
