package integration

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"itool/integration/rig"
)

var (
	reference  = regexp.MustCompile(`\$([A-Z_]+)`)
	assignment = regexp.MustCompile(`(?m)^([A-Z_]+)=`)
)

// TestNodeEnvironment: node.env gives each variable of the servers' configuration, and no other.
// The clusters of the other tests start with that configuration.
func TestNodeEnvironment(t *testing.T) {
	names := func(file string, pattern *regexp.Regexp) (all []string) {
		text, err := os.ReadFile("../ops/deploy/nats/" + file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range pattern.FindAllStringSubmatch(string(text), -1) {
			all = append(all, m[1])
		}
		return all
	}
	used := append(names("nats.conf", reference), names("auth.conf", reference)...)
	given := names("node.env", assignment)
	for _, set := range []*[]string{&used, &given} {
		slices.Sort(*set)
		*set = slices.Compact(*set)
	}
	if !slices.Equal(used, given) {
		t.Errorf("nats.conf and auth.conf use\n%q, node.env gives\n%q", used, given)
	}
}

var (
	composed  = regexp.MustCompile(`command: \[((?:work|doctor)[^\]]*)\]`)
	execStart = regexp.MustCompile(`ExecStart=/usr/local/bin/itool (.*)`)
)

// TestDeployedCommands: what compose and systemd start are commands of itool, with flags that they have.
func TestDeployedCommands(t *testing.T) {
	var lines []string
	for _, file := range []string{"compose/compose.yaml", "systemd/*.service"} {
		found, err := filepath.Glob("../ops/deploy/" + file)
		if err != nil || len(found) == 0 {
			t.Fatalf("%s: %v, %v", file, found, err)
		}
		for _, f := range found {
			text, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range composed.FindAllStringSubmatch(string(text), -1) {
				lines = append(lines, strings.ReplaceAll(m[1], ",", ""))
			}
			for _, m := range execStart.FindAllStringSubmatch(string(text), -1) {
				lines = append(lines, m[1])
			}
		}
	}
	if len(lines) != 8 {
		t.Errorf("%d commands were found, want 8: %q", len(lines), lines)
	}
	help := map[string]string{}
	for _, line := range lines {
		verb := strings.Fields(line)[0]
		if help[verb] == "" {
			help[verb], _, _ = rig.Itool(t, t.TempDir(), verb, "--help")
		}
		for _, f := range flag.FindAllStringSubmatch(line, -1) {
			if !strings.Contains(help[verb], f[1]) {
				t.Errorf("itool %s has no flag %s", line, f[1])
			}
		}
	}
}
