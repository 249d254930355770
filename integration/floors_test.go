package integration

import (
	"encoding/json"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// floors says which packages of this module a package may import. It is policy, not a
// description: if a build breaks it, change the build, not this table. The row with the longest
// matching pattern applies; "." is the package itself with everything below it.
var floors = []struct{ pkg, may, why string }{
	{"schemas", ".", "the records depend on nothing"},
	{"broker", ".", "moves bytes; does not know what they mean"},
	{"storage", ".", "keeps bytes; does not know what they mean"},
	{"stages/policy", ".", "the engine is a library of numbers, not of pipelines"},
	{"stages/expand/search", ".", "the search knows no model and no text"},
	{"stages", "schemas", "the contract every stage fulfils"},
	{"stages/judge", "schemas stages= stages/policy= stages/policy/policytest",
		"decides whether an answer is right, for expand, select, update and evaluate"},
	{"stages/*", ". schemas stages= stages/judge stages/policy= stages/policy/train stages/policy/policytest " +
		"stages/stagetest",
		"a stage knows other stages only by their records, and the engine only by its public package"},
	{"stages/stagetest", ". schemas stages=", "tests any stage through its contract alone"},
	{"ops/courier", "schemas broker= storage=", "the claim check: messages and objects become records"},
	{"ops/courier/couriertest", "broker= broker/embed storage= storage/disk ops/courier",
		"a real broker and a real store for the tests of ops"},
	{"ops/worker", ". schemas stages= stages/policy/kernel= broker= storage= storage/checkpoint ops/courier",
		"the one place where stage, broker and storage meet; a device that fails hands its item back"},
	{"ops/line", ". schemas stages broker= storage= storage/checkpoint ops/courier",
		"the one place that names every stage"},
	{"ops", ". schemas stages broker storage", "wires everything; only integration may import it"},
	{"integration", ". schemas stages broker storage ops", "tests everything; no package may import it"},
}

// covers reports whether a pattern covers package p. "a" covers a and everything below it, "a/*"
// everything below a, "a=" only a itself.
func covers(pattern, p string) bool {
	if exact, ok := strings.CutSuffix(pattern, "="); ok {
		return p == exact
	}
	if parent, ok := strings.CutSuffix(pattern, "/*"); ok {
		return strings.HasPrefix(p, parent+"/")
	}
	return p == pattern || strings.HasPrefix(p, pattern+"/")
}

type pkg struct {
	ImportPath                         string
	Module                             struct{ Path string }
	Imports, TestImports, XTestImports []string
}

// name is the package's folder.
func (p pkg) name() string { return strings.TrimPrefix(p.ImportPath, p.Module.Path+"/") }

func packages(t *testing.T) []pkg {
	t.Helper()
	list := exec.Command("go", "list", "-tags=gpu", "-json=ImportPath,Module,Imports,TestImports,XTestImports", "./...")
	list.Dir = ".."
	out, err := list.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []pkg
	for dec := json.NewDecoder(strings.NewReader(string(out))); ; {
		var p pkg
		if err := dec.Decode(&p); err == io.EOF {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

// testSupport are packages that only tests, and each other, may import: they must not be in the binary.
var testSupport = []string{"stages/policy/kernel/cuda/ptx", "stages/policy/kernel/cuda/cudatest"}

func TestFloorsOfTestSupport(t *testing.T) {
	for _, p := range packages(t) {
		for _, imp := range p.Imports {
			imp = strings.TrimPrefix(imp, p.Module.Path+"/")
			if slices.Contains(testSupport, imp) && !slices.Contains(testSupport, p.name()) {
				t.Errorf("%s imports %s, which is for tests alone", p.name(), imp)
			}
		}
	}
}

func TestFloors(t *testing.T) {
	for _, p := range packages(t) {
		name := p.name()
		best := -1 // the row with the longest pattern that covers name
		for i, f := range floors {
			if covers(f.pkg, name) && (best < 0 || len(f.pkg) > len(floors[best].pkg)) {
				best = i
			}
		}
		if best < 0 {
			t.Errorf("%s has no row in floors: add one", name)
			continue
		}
		f := floors[best]
		self := f.pkg // what "." means
		if parent, ok := strings.CutSuffix(f.pkg, "/*"); ok {
			child, _, _ := strings.Cut(strings.TrimPrefix(name, parent+"/"), "/")
			self = parent + "/" + child
		}
		for _, imp := range p.Imports {
			imp, ok := strings.CutPrefix(imp, p.Module.Path+"/")
			if !ok {
				continue
			}
			if !slices.ContainsFunc(strings.Fields(f.may), func(m string) bool {
				if m == "." {
					m = self
				}
				return covers(m, imp)
			}) {
				t.Errorf("%s imports %s; %q may import {%s}: %s", name, imp, f.pkg, f.may, f.why)
			}
		}
	}
}
