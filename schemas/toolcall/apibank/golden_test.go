package apibank_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"itool/schemas/toolcall/apibank"
	"itool/schemas/toolcall/bfcl/multiturn/python"
	"itool/schemas/toolcall/toolcalltest"
)

func databases(t testing.TB) apibank.Databases {
	t.Helper()
	folder := filepath.Dir(toolcalltest.Open(t, "api_bank/init_database/Account.json").Name())
	db, err := apibank.ReadDatabases(os.DirFS(folder))
	if err != nil {
		t.Fatal(err)
	}
	return db
}

var folders = map[string]string{"1": "level-1-given-desc", "2": "level-2-toolsearcher"}

// dialogues are read once.
type dialogues map[string]map[int]apibank.Truth

func (d dialogues) read(t testing.TB, level, file string) map[int]apibank.Truth {
	t.Helper()
	name := "api_bank/lv1-lv2-samples/" + folders[level] + "/" + file
	if d[name] == nil {
		f := toolcalltest.Open(t, name)
		truths, err := apibank.ReadDialogue(f)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		f.Close()
		d[name] = truths
	}
	return d[name]
}

type golden struct {
	Level, File, Variant, Raw, Category string
	ID                                  int
	Correct                             bool
	Parsed                              *struct {
		Name   string
		Params map[string]string
	}
}

// TestVerdicts compares with the verdicts of the original evaluator.
func TestVerdicts(t *testing.T) {
	rows := toolcalltest.Rows[golden](t, "api_bank_golden/apibank.a.jsonl")
	db, all := databases(t), dialogues{}
	same, judged, parsed := 0, 0, 0
	for _, g := range rows {
		if folders[g.Level] == "" {
			continue // level 3, and answers in words
		}
		judged++
		truth, found := all.read(t, g.Level, g.File)[g.ID]
		if !found {
			t.Fatalf("%s has no question %d for a call", g.File, g.ID)
		}
		v := apibank.Judge(g.Raw, truth, db)
		if v.Correct == g.Correct && string(v.Category) == g.Category {
			same++
		} else {
			t.Errorf("level %s %s %d %s: %.200q is %v %s (%s), the original has %v %s",
				g.Level, g.File, g.ID, g.Variant, g.Raw, v.Correct, v.Category, v.Why, g.Correct, g.Category)
		}
		call, found := apibank.Read(g.Raw)
		if found != (g.Parsed != nil) || found && !equalCalls(call, g.Parsed.Name, g.Parsed.Params) {
			t.Errorf("%s: %q is read as %+v, the original has %+v", g.Variant, g.Raw, call, g.Parsed)
		} else {
			parsed++
		}
	}
	t.Logf("%d of %d verdicts and %d of %d calls are equal", same, judged, parsed, judged)
}

func equalCalls(c apibank.Call, name string, params map[string]string) bool {
	if c.Name != name || len(c.Args) != len(params) {
		return false
	}
	for key, value := range params {
		if c.Args[key] != value {
			return false
		}
	}
	return true
}

// TestDialogues: the calls of all dialogues, printed as an answer. What the original's own data miss is counted.
func TestDialogues(t *testing.T) {
	db, all := databases(t), dialogues{}
	right, asked := map[string]int{}, map[string]int{}
	for level, folder := range folders {
		one := toolcalltest.Open(t, "api_bank/lv1-lv2-samples/"+folder+"/"+map[string]string{
			"1": "AddAgenda-level-1-1.jsonl", "2": "AddAlarm-level-3-1.jsonl",
		}[level]).Name()
		files, err := os.ReadDir(filepath.Dir(one))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			for _, truth := range all.read(t, level, f.Name()) {
				v := apibank.Judge(printed(t, truth), truth, db)
				key := level
				if !v.Executed {
					key += " compared"
				}
				asked[key]++
				if v.Correct {
					right[key]++
				}
			}
		}
	}
	for key, want := range map[string]int{"1": 389, "2": 90, "1 compared": 10, "2 compared": 45} {
		if asked[key] != want {
			t.Errorf("level %s: %d calls, want %d", key, asked[key], want)
		}
		t.Logf("level %s: %d of %d recorded calls are right", key, right[key], asked[key])
	}
}

func printed(t *testing.T, truth apibank.Truth) string {
	t.Helper()
	var args []string
	for _, key := range truth.Args.Keys() {
		value, _ := truth.Args.Get(key)
		text, err := python.Str(value)
		if err != nil {
			t.Fatal(err)
		}
		args = append(args, key.(string)+"='"+text+"'")
	}
	return "API-Request: [" + truth.Name + "(" + strings.Join(args, ", ") + ")]"
}
