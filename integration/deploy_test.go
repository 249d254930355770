package integration

import (
	"os"
	"regexp"
	"slices"
	"testing"
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
