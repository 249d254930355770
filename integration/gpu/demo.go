package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"

	"itool/ops/report"
)

// demoRows runs the quick demo on the GPU and on the CPU, and returns a row of the page for each.
func demoRows(ctx context.Context, itool, gpu string) (rows []string) {
	for _, device := range []string{gpu, "cpu"} {
		row, err := demoRow(ctx, itool, device)
		if err != nil {
			row = fmt.Sprintf("| %s | failed: %v | |", device, err)
		}
		rows = append(rows, row)
	}
	return rows
}

func demoRow(ctx context.Context, itool, device string) (string, error) {
	dir, err := os.MkdirTemp("", "itool-demo-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	cmd := exec.CommandContext(ctx, itool, "demo", "--quick", "--json", "--web", "off", "--device", device,
		"--dir", dir+"/run")
	cmd.Stderr = os.Stderr
	out, err := cmd.Output()
	if err != nil {
		return "", err
	}
	return summarise(device, out)
}

// summarise reads the last line of `itool demo --json`.
func summarise(device string, out []byte) (string, error) {
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	var s report.Summary
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &s); err != nil {
		return "", fmt.Errorf("the demo's last line: %w", err)
	}
	var accuracy, pairs []string
	for _, name := range slices.Sorted(maps.Keys(s.Accuracy)) {
		a := s.Accuracy[name]
		accuracy = append(accuracy, fmt.Sprintf("%s %.1f %%", name, 100*a.Mean))
	}
	for _, name := range slices.Sorted(maps.Keys(s.Pairs)) {
		pairs = append(pairs, fmt.Sprintf("%s %d", name, s.Pairs[name]["kept"]))
	}
	return fmt.Sprintf("| %s | %s | %s |", device, strings.Join(accuracy, ", "), strings.Join(pairs, ", ")), nil
}
