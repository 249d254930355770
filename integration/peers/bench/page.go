package main

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
)

// page is the whole result, in Markdown.
func (b *bench) page(lines []string, o options) string {
	var s strings.Builder
	fmt.Fprintf(&s, `# Compared with other programs

Written by %sgo run ./integration/peers/bench%s; do not edit. Both sides compute on the same checkpoints with two
threads each, in turns within one run. The weights are random, except for the trees. A figure says how many times as
fast the engine is (the peer's time ÷ ours): the median of %d turns and their spread, then the median times, ours
first. Of a peer's variants (PyTorch: fp32, autocast, bf16 weights, compiled) the fastest counts and is named. On a
processor without bf16 instructions PyTorch's bf16 variants are tried in the first row only: at 135 M a step took over
four minutes. The prompts of a row differ.

%s

| model | job | peer | bar | ours is × as fast | spread | times, ours and theirs |
|---|---|---|---|---|---|---|
`, "`", "`", o.turns, b.machine(o))
	for _, l := range lines {
		s.WriteString(l + "\n")
	}
	return s.String()
}

// multipliesBF16 reports whether the processor has instructions for products in bf16.
func multipliesBF16() bool {
	text, err := os.ReadFile("/proc/cpuinfo")
	return err != nil || regexp.MustCompile(`\b(amx_bf16|avx512_bf16)\b`).Match(text)
}

// machine names the machine and the versions of all programs.
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
		for _, flag := range []string{"amx_bf16", "avx512_bf16", "avx512f", "avx2"} {
			if regexp.MustCompile(`\b` + flag + `\b`).Match(text) {
				processor += " with " + flag
				break
			}
		}
	}
	commit := out("git", "describe", "--always", "--dirty")
	return fmt.Sprintf("%s, %d cores; %s, %s, commit %s; %s.",
		processor, runtime.NumCPU(), b.dev.Name(), runtime.Version(), commit, strings.TrimSuffix(versions, ","))
}
