package sim_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"itool/schemas/toolcall/bfcl/multiturn/python"
	"itool/schemas/toolcall/bfcl/multiturn/sim"
	"itool/schemas/toolcall/toolcalltest"
)

// open makes a world of one class from a JSON state.
func open(t *testing.T, class, state string, o sim.Options) *sim.World {
	t.Helper()
	v, err := python.ParseJSON([]byte(`{"` + class + `": ` + state + `}`))
	if err != nil {
		t.Fatal(err)
	}
	w, err := sim.New([]string{class}, v.(*python.Dict), o)
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// call gives the repr of a result, or "!" and the exception.
func call(t *testing.T, w *sim.World, method string, args ...python.Value) string {
	t.Helper()
	v, err := w.Call(method, args, nil)
	if err != nil {
		return "!" + err.Error()
	}
	text, err := python.Repr(v)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func expect(t *testing.T, w *sim.World, want, method string, args ...python.Value) {
	t.Helper()
	if got := call(t, w, method, args...); got != want {
		t.Errorf("%s%v is %s\n want %s", method, args, got, want)
	}
}

const workspace = `{"root": {"workspace": {"type": "directory", "contents": {
	"a.txt": {"type": "file", "content": "b\na\r\n\u0085c d"},
	"docs": {"type": "directory", "contents": {"inner": {"type": "directory", "contents": {}}}}}}}}`

func TestFiles(t *testing.T) {
	w := open(t, "GorillaFileSystem", workspace, sim.Options{})
	expect(t, w, "{'current_working_directory': '/workspace'}", "pwd")
	expect(t, w, "{'current_directory_content': ['a.txt', 'docs']}", "ls")
	expect(t, w, "{'count': 4, 'type': 'lines'}", "wc", "a.txt")
	expect(t, w, "{'count': 4, 'type': 'words'}", "wc", "a.txt", "w")
	expect(t, w, "{'sorted_content': '\\na\\nb\\nc d'}", "sort", "a.txt")
	expect(t, w, "{'last_lines': '\\nc d'}", "tail", "a.txt", python.Int(2))
	expect(t, w, "{'last_lines': 'c d'}", "tail", "a.txt", python.Int(-3))
	expect(t, w, "{'matches': ['./docs/inner']}", "find", ".", "inn")
	expect(t, w, "{'error': \"mkdir: cannot create directory 'a/b': Invalid character\"}", "mkdir", "a/b")
	expect(t, w, "None", "touch", "new")
	expect(t, w, "{'result': \"'a.txt' copied to 'docs/a.txt'\"}", "cp", "a.txt", "docs")
	expect(t, w, "!File 'a.txt' already exists in directory 'docs'.", "cp", "a.txt", "docs")
	expect(t, w, "{'error': \"rmdir: failed to remove 'docs': Directory not empty\"}", "rmdir", "docs")
	expect(t, w, "{'current_working_directory': 'inner'}", "cd", "docs/inner")
	expect(t, w, "{}", "cd", "..")
	expect(t, w, "{'disk_usage': '10 bytes'}", "du")
}

// TestMovedDirectory: the children of a moved directory go up to the old one, which is not in
// the tree any more.
func TestMovedDirectory(t *testing.T) {
	w := open(t, "GorillaFileSystem", workspace, sim.Options{})
	expect(t, w, "{'result': \"'docs' moved to 'papers'\"}", "mv", "docs", "papers")
	expect(t, w, "{'current_working_directory': 'inner'}", "cd", "papers/inner")
	expect(t, w, "{}", "cd", "..")
	expect(t, w, "{'current_working_directory': '/workspace/docs'}", "pwd")
}

// TestHostileTrees: directories that hold themselves, or copies of copies, end every walk.
func TestHostileTrees(t *testing.T) {
	w := open(t, "GorillaFileSystem", workspace, sim.Options{})
	call(t, w, "cp", "docs", "docs")
	for _, method := range []string{"find", "du"} {
		expect(t, w, "!maximum recursion depth exceeded", method)
	}
	call(t, w, "mkdir", "inner0")
	call(t, w, "mkdir", "other0")
	for i := range 30 { // 2^30 paths
		here, next := fmt.Sprint(i), fmt.Sprint(i+1)
		call(t, w, "mkdir", "both"+here)
		call(t, w, "cp", "inner"+here, "both"+here)
		call(t, w, "cp", "other"+here, "both"+here)
		call(t, w, "cp", "both"+here, "inner"+next)
		call(t, w, "cp", "both"+here, "other"+next)
	}
	call(t, w, "rm", "docs")
	expect(t, w, "!the work of this entry is used up", "find")
	other := open(t, "GorillaFileSystem", workspace, sim.Options{})
	if d := sim.Differences(w.Objects[0], other.Objects[0]); len(d) != 1 {
		t.Errorf("differences: %v", d)
	}
	if d := sim.Differences(w.Objects[0], w.Objects[0]); len(d) > 0 {
		t.Errorf("a world differs from itself in %v", d)
	}
}

func TestBinding(t *testing.T) {
	w := open(t, "TicketAPI", `{}`, sim.Options{})
	for _, c := range []struct {
		name  string
		args  []python.Value
		named []sim.Named
		want  string
	}{
		{"none", nil, nil,
			"TicketAPI.resolve_ticket() missing 2 required positional arguments: 'ticket_id' and 'resolution'"},
		{"one", []python.Value{python.Int(1)}, nil,
			"TicketAPI.resolve_ticket() missing 1 required positional argument: 'resolution'"},
		{"three", []python.Value{nil, nil, nil}, nil,
			"TicketAPI.resolve_ticket() takes 3 positional arguments but 4 were given"},
		{"unknown", nil, []sim.Named{{"x", nil}}, "TicketAPI.resolve_ticket() got an unexpected keyword argument 'x'"},
		{"twice", []python.Value{nil}, []sim.Named{{"ticket_id", nil}},
			"TicketAPI.resolve_ticket() got multiple values for argument 'ticket_id'"},
	} {
		_, err := w.Call("resolve_ticket", c.args, c.named)
		if err == nil || err.Error() != c.want {
			t.Errorf("%s: %v, want %s", c.name, err, c.want)
		}
	}
	expect(t, w, "!TicketAPI.create_ticket() takes from 2 to 4 positional arguments but 5 were given",
		"create_ticket", nil, nil, nil, nil)
	expect(t, w, "!TicketAPI.logout() takes 1 positional argument but 2 were given", "logout", nil)
	expect(t, w, "!name 'f' is not defined", "f")
}

// TestShared: two worlds of one entry share the default list of mentions.
func TestShared(t *testing.T) {
	shared := &sim.Shared{}
	state := `{"authenticated": true}`
	first := open(t, "TwitterAPI", state, sim.Options{Shared: shared})
	second := open(t, "TwitterAPI", state, sim.Options{Shared: shared})
	alone := open(t, "TwitterAPI", state, sim.Options{})
	for _, w := range []*sim.World{first, second, alone} {
		call(t, w, "post_tweet", "x")
	}
	call(t, first, "mention", python.Int(0), python.NewList("@a"))
	if d := sim.Differences(first.Objects[0], second.Objects[0]); len(d) > 0 {
		t.Errorf("the worlds differ in %v", d)
	}
	if d := sim.Differences(first.Objects[0], alone.Objects[0]); len(d) != 1 || d[0] != "tweets" {
		t.Errorf("the world that shares nothing differs in %v, want the tweets", d)
	}
}

func TestAge(t *testing.T) {
	state := `{"user_first_name": "A", "user_last_name": "B"}`
	for _, c := range []struct {
		today time.Time
		want  string
	}{
		{time.Date(2024, 5, 9, 0, 0, 0, 0, time.UTC),
			"{'verification_status': False, 'verification_failure': 'Traveler must be at least 18 years old.'}"},
		{time.Date(2024, 5, 10, 0, 0, 0, 0, time.UTC), "{'verification_status': True}"},
	} {
		w := open(t, "TravelAPI", state, sim.Options{Today: c.today})
		expect(t, w, c.want, "verify_traveler_information", "A", "B", "2006-05-10", "US1")
	}
}

// TestWork: calls whose cost grows with the state end when the work is used up.
func TestWork(t *testing.T) {
	w := open(t, "GorillaFileSystem", workspace, sim.Options{})
	call(t, w, "echo", strings.Repeat("line\n", 200_000), "large")
	for range 100 {
		call(t, w, "sort", "large")
	}
	expect(t, w, "!the work of this entry is used up", "sort", "a.txt")
}

func TestNewErrors(t *testing.T) {
	for _, c := range []struct{ class, state, want string }{
		{"Nothing", `{}`, "sim: Nothing: no such class"},
		{"TicketAPI", `[]`, "sim: the state of TicketAPI is a list, want an object"},
		{"GorillaFileSystem", `{"root": {"w": {"type": "directory"}}}`, "sim: GorillaFileSystem: root: 'contents'"},
		{"GorillaFileSystem", `{"root": 1}`, "sim: GorillaFileSystem: root: want an object, got a int"},
		{"TwitterAPI", `{"tweets": []}`, "sim: TwitterAPI: tweets: want an object, got a list"},
		{"TradingBot", `{"orders": 1}`, "sim: TradingBot: orders: want an object, got a int"},
		{"VehicleControlAPI", `{"doorStatus": 1}`, "sim: VehicleControlAPI: doorStatus: want an object"},
	} {
		v, err := python.ParseJSON([]byte(`{"` + c.class + `": ` + c.state + `}`))
		if err != nil {
			t.Fatal(err)
		}
		_, err = sim.New([]string{c.class}, v.(*python.Dict), sim.Options{})
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s %s: %v, want %s", c.class, c.state, err, c.want)
		}
	}
	for _, data := range []string{"", "[]", `{"FILES_TAIL_USED": []}`} {
		if _, err := sim.ReadExtension(strings.NewReader(data)); err == nil {
			t.Errorf("%q is read as the texts of long contexts", data)
		}
	}
}

// TestTables compares the tables and first states with BFCL's.
func TestTables(t *testing.T) {
	data, err := io.ReadAll(toolcalltest.Open(t, "bfcl_multi_turn/sim_constants.json"))
	if err != nil {
		t.Fatal(err)
	}
	v, err := python.ParseJSON(bytes.TrimSpace(data))
	if err != nil {
		t.Fatal(err)
	}
	tables := sim.Tables()
	want := v.(*python.Dict)
	for _, key := range want.Keys() {
		expected, _ := want.Get(key)
		got, ok := tables.Get(key)
		if !ok || !python.Equal(got, expected) {
			text, _ := python.Repr(got)
			t.Errorf("%v is %.2000s", key, text)
		}
	}
}
