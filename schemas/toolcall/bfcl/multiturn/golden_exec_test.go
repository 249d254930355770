package multiturn_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"testing"
	"unicode/utf8"

	"itool/schemas/toolcall/bfcl/multiturn"
	"itool/schemas/toolcall/bfcl/multiturn/python"
	"itool/schemas/toolcall/bfcl/multiturn/sim"
	"itool/schemas/toolcall/toolcalltest"
)

type execution struct {
	ID, Kind string
	Turns    []struct {
		Calls   []string
		Results []json.RawMessage
		Changed map[string]map[string]json.RawMessage
	}
}

// TestResults compares results, texts of errors included, and the attributes that each turn
// changed, with what the original's classes return.
func TestResults(t *testing.T) {
	all, o := entries(t), options(t)
	calls, same, attributes, equal := 0, 0, 0, 0
	for _, g := range toolcalltest.Rows[execution](t, "bfcl_multi_turn/multi_turn_exec.a.jsonl") {
		w, err := multiturn.NewWorld(all[g.ID], o)
		if err != nil {
			t.Fatal(err)
		}
		x := multiturn.NewExecutor(w, g.ID, "model")
		for i, turn := range g.Turns {
			before := state(t, w)
			for j, call := range turn.Calls {
				calls++
				got := x.Run(call)
				if sameText(t, got, turn.Results[j]) {
					same++
				} else {
					t.Errorf("%s %s turn %d: %s\n gives %s\n want  %s",
						g.ID, g.Kind, i, call, clip(got), clip(string(turn.Results[j])))
				}
			}
			after := state(t, w)
			for class, changed := range turn.Changed {
				for name, want := range changed {
					if name[0] == '_' {
						continue // hidden: not compared by the checker
					}
					attributes++
					v, err := python.ParseJSON(want)
					if err != nil {
						t.Fatal(err)
					}
					if python.Equal(plain(v), plain(after[class][name])) {
						equal++
					} else {
						text, _ := python.Repr(after[class][name])
						t.Errorf("%s %s turn %d: %s.%s is %s\n want %s",
							g.ID, g.Kind, i, class, name, clip(text), clip(string(want)))
					}
				}
			}
			for class, attributes := range after {
				for name, v := range attributes {
					_, changed := turn.Changed[class][name]
					if !changed && !python.Equal(before[class][name], v) {
						t.Errorf("%s %s turn %d: %s.%s changed", g.ID, g.Kind, i, class, name)
					}
				}
			}
		}
	}
	t.Logf("%d of %d results and %d of %d changed attributes are equal", same, calls, equal, attributes)
}

func clip(s string) string {
	if len(s) > 600 {
		return s[:600] + "…"
	}
	return s
}

// sameText compares with a text, or with the length and digest of a long one.
func sameText(t *testing.T, got string, want json.RawMessage) bool {
	t.Helper()
	var text string
	if json.Unmarshal(want, &text) == nil {
		return got == text
	}
	var long struct {
		Len    int
		Digest string `json:"sha256_16"`
	}
	if err := json.Unmarshal(want, &long); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256([]byte(got))
	return utf8.RuneCountInString(got) == long.Len && hex.EncodeToString(sum[:])[:16] == long.Digest
}

// state copies the attributes of all objects.
func state(t *testing.T, w *sim.World) map[string]map[string]python.Value {
	t.Helper()
	all := map[string]map[string]python.Value{}
	for _, o := range w.Objects {
		all[o.Class] = map[string]python.Value{}
		for _, a := range o.Attributes() {
			v := a.Value
			if tree, ok := sim.Tree(v); ok {
				v = tree
			}
			all[o.Class][a.Name] = python.Copy(v)
		}
	}
	return all
}

// plain makes values as the golden file has them: long texts by length and digest, a set as
// {"set": items}, a dict with other keys than texts as {"map": pairs}.
func plain(v python.Value) python.Value {
	switch x := v.(type) {
	case string:
		sum := sha256.Sum256([]byte(x))
		return python.Record("len", utf8.RuneCountInString(x), "sha256_16", hex.EncodeToString(sum[:])[:16])
	case *python.List:
		return items(x.Items)
	case *python.Tuple:
		return items(x.Items)
	case *python.Set:
		return python.Record("set", items(x.Items()))
	case *python.Dict:
		if _, ok := x.Get("sha256_16"); ok {
			return x
		}
		if v, ok := x.Get("map"); ok && x.Len() == 1 {
			d := python.NewDict()
			for _, pair := range v.(*python.List).Items {
				kv := pair.(*python.List).Items
				_ = d.Set(kv[0], plain(kv[1]))
			}
			return d
		}
		d := python.NewDict()
		for _, key := range x.Keys() {
			inner, _ := x.Get(key)
			_ = d.Set(key, plain(inner))
		}
		return d
	}
	return v
}

func items(all []python.Value) python.Value {
	list := &python.List{}
	for _, item := range all {
		list.Items = append(list.Items, plain(item))
	}
	return list
}
