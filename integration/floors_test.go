package integration

import (
	"encoding/json"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// floors states who may import whom inside this module. It is policy, not a
// description: a build that breaks it is fixed in the build, not here.
// A package obeys the row with the longest matching prefix; "." is itself.
var floors = []struct{ pkg, may, why string }{
	{"schemas", ".", "words depend on nothing"},
	{"broker", ".", "moves bytes; does not know what they mean"},
	{"storage", ".", "keeps bytes; does not know what they mean"},
	{"stages/policy", ".", "the engine is a library of numbers, not of pipelines"},
	{"stages/expand/search", ".", "the search knows no model and no text"},
	{"stages", "schemas", "the contract every stage fulfils"},
	{"stages/judge", "schemas stages= stages/policy= stages/policy/policytest", "what right means, for the stages that ask: expand, select, update, evaluate"},
	{"stages/*", ". schemas stages= stages/judge stages/policy= stages/policy/train stages/policy/policytest stages/stagetest", "a stage meets its neighbours only in schemas, and the engine only at its door"},
	{"stages/stagetest", ". schemas stages=", "judges any stage through its contract alone"},
	{"ops/courier", "schemas broker= storage=", "the claim check: messages and objects become records"},
	{"ops/courier/couriertest", "broker= broker/embed storage/disk ops/courier", "a real broker and a real store for the tests of ops"},
	{"ops/worker", ". schemas stages= broker= storage= storage/checkpoint ops/courier", "the one place where stage, broker and storage meet"},
	{"ops/line", ". schemas stages broker= storage= storage/checkpoint ops/courier", "the one place that names every stage"},
	{"ops", ". schemas stages broker storage", "wires everything, is imported by nothing below"},
	{"integration", ". schemas stages broker storage ops", "looks at everything, is imported by nothing"},
}

// covers reports whether pattern covers package p. "a" covers a and all below
// it, "a/*" every child of a and all below, "a=" only a itself.
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
			t.Errorf("%s stands on no floor; add a row", name)
			continue
		}
		f := floors[best]
		self := f.pkg // "." means the subtree the row speaks of
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
