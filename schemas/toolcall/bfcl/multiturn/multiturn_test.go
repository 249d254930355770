package multiturn_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"itool/schemas/toolcall/bfcl/multiturn"
)

const support = `{"id": "multi_turn_base_900", "involved_classes": ["TicketAPI", "TwitterAPI"], "initial_config": {
	"TicketAPI": {"ticket_counter": 7, "current_user": "ann"}, "TwitterAPI": {"authenticated": true}}}`

func entry(t testing.TB, question string, truth string) *multiturn.Entry {
	t.Helper()
	e, err := multiturn.ReadEntry([]byte(question), []byte(`{"id": "multi_turn_base_900", "ground_truth": `+truth+`}`))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// TestQuirks has one case for each rule of the original checker that may surprise.
func TestQuirks(t *testing.T) {
	create := `["create_ticket(title='a')"]`
	read := `["get_ticket(7)"]`
	for _, c := range []struct {
		name, truth string
		turns       [][]string
		want        string // "" passes
	}{
		{"right", "[" + create + "]", [][]string{{"[create_ticket(title='a')]"}}, ""},
		{"too few turns", "[" + create + "]", nil, "turn_count"},
		{"no call", "[" + create + "]", [][]string{{"I cannot do that."}}, "0 empty"},
		{"no call is needed", `[[], ` + create + `]`, [][]string{{"What title?"}, {"create_ticket(title='a')"}}, ""},
		{"calls where none are needed", `[[], ` + create + `]`,
			[][]string{{"[create_ticket(title='a')]"}, {"[create_ticket(title='a')]"}},
			"1 state:TicketAPI:ticket_counter,ticket_queue"},
		{"a step that does not decode is left out", "[" + create + "]",
			[][]string{{"Sure!", "```\n[create_ticket(title='a')]\n```"}}, ""},
		{"a fence with a language", "[" + create + "]",
			[][]string{{"```python\n[create_ticket(title='a')]\n```"}}, "0 empty"},
		{"positional arguments are dropped", "[" + create + "]", [][]string{{"[create_ticket('a')]"}},
			"0 state:TicketAPI:ticket_counter,ticket_queue"},
		{"more reads", "[" + create + "]", [][]string{{"[create_ticket(title='a')]", "[get_ticket(ticket_id=7)]"}}, ""},
		{"the same twice", "[" + create + "]", [][]string{{"[create_ticket(title='a'), create_ticket(title='a')]"}},
			"0 state:TicketAPI:ticket_counter,ticket_queue"},
		{"a result is missing", "[" + create + "," + read + "]",
			[][]string{{"[create_ticket(title='a')]"}, {"[logout(), ticket_login(username='ann', password='x')]"}},
			""}, // create_ticket returned the same ticket before
		{"another result is missing", `[["get_user_tickets()"]]`,
			[][]string{{"[get_ticket(ticket_id=1)]"}}, "0 missing:1"},
		{"an early read", "[" + create + `, ["get_user_tickets()"]]`,
			[][]string{{"[create_ticket(title='a'), get_user_tickets()]"}, {"[get_ticket(ticket_id=1)]"}}, ""},
		{"a text that looks like a call", `[["create_ticket(title='a')"]]`,
			[][]string{{"[create_ticket(title='a', description='')]"}}, ""},
		{"blanks before a parenthesis in a text", `[["create_ticket(title='see (a)')"]]`,
			[][]string{{"[create_ticket(title='see  (a)')]"}}, ""},
		{"a method's name in a text", `[["create_ticket(title='logout()')"]]`,
			[][]string{{"[create_ticket(title='logout()')]"}}, "0 state:TicketAPI:ticket_queue"},
		{"an int for a float", `[["create_ticket(title='a', priority=2.0)"]]`,
			[][]string{{"[create_ticket(title='a', priority=2)]"}}, "0 missing:1"},
		{"a class's name", "[" + create + "]", [][]string{{"[TicketAPI.create_ticket(title='a')]"}},
			"0 state:TicketAPI:ticket_counter,ticket_queue"},
		{"a nested call", "[" + create + "]", [][]string{{"[create_ticket(title=str(object='a'))]"}}, ""},
		{"an empty dict fails its step", "[" + create + "]",
			[][]string{{"[create_ticket(title='a'), edit_ticket(ticket_id=7, updates={})]"}}, "0 empty"},
		{"mentions leak", `[["post_tweet('x')"], ["mention(0, ['@a'])"]]`,
			[][]string{{"[post_tweet(content='x')]"}, {"[posting_get_login_status()]"}}, "1 missing:1"},
	} {
		v, err := multiturn.Check(entry(t, support, c.truth), c.turns, multiturn.Options{})
		if err != nil {
			t.Fatal(err)
		}
		got := v.Detail()
		if v.Turn >= 0 {
			got = fmt.Sprint(v.Turn) + " " + got
		}
		if got != c.want || v.Valid != (c.want == "") {
			t.Errorf("%s: valid %v, %q, want %q", c.name, v.Valid, got, c.want)
		}
	}
}

func TestDecode(t *testing.T) {
	for _, c := range []struct {
		raw  string
		want []string // nil: the step fails
	}{
		{"f(a=1)", []string{"f(a=1)"}},
		{"[f(a=1), g()]", []string{"f(a=1)", "g()"}},
		{"[[f()]]", []string{"f()"}},
		{"'[f()]'", []string{"f()"}},
		{"[\nf()]", []string{"f()"}},
		{"[ f()]", nil},
		{"[\n  f()]", nil},
		{"f()\ng()", nil},
		{"[f(),\ng()]", nil},
		{"[f(a=[1,\n2])]", []string{"f(a=[1, 2])"}},
		{"f(), # one", []string{"f()"}},
		{"f(x)]) text", nil},
		{"()", []string{}},
		{"[]", nil},
		{"", nil},
		{"{f()}", []string{"f()"}},
		{"[f(a=+3, b=not True, c=x, d=1+1)]", []string{"f(a=-3, b=-1, c='x', d=2)"}},
		{"[f(a=g(), b=h(c=1))]", []string{"f(a='g()', b=h(c=1))"}},
		{"[f(a={'b': 1}, c={1: 'd'})]", []string{"f(a={'b': 1}, c={'1': 'd'})"}},
		{"[f(a=[{'b': {'c': 1}}])]", []string{"f(a=[{'b': {'c': 1}}])"}},
		{"[f(a={})]", nil},
		{"[f(**x)]", []string{"f(None='x')"}},
		{"[f(a=1, a=2)]", []string{"f(a=2)"}},
		{"[f(a=b'\\x00\\'\\'')]", []string{`f(a=b"\x00''")`}},
		{"[f(a=1e400)]", []string{"f(a=inf)"}},
		{"[f(lambda: 1, [x for x in y], a=1)]", []string{"f(a=1)"}},
		{"[f(a='\\ud83d', b=-1j)]", []string{`f(a='\ud83d', b=(-0-1j))`}},
		{"f(x)) , (g()", nil},
	} {
		got, err := multiturn.Decode(c.raw)
		if (err != nil) != (c.want == nil) || err == nil && !cmp.Equal(c.want, got) {
			t.Errorf("%q decodes to %q, %v; want %q", c.raw, got, err, c.want)
		}
	}
}

func TestRun(t *testing.T) {
	w, err := multiturn.NewWorld(entry(t, support, "[]"), multiturn.Options{})
	if err != nil {
		t.Fatal(err)
	}
	x := multiturn.NewExecutor(w, "multi_turn_base_900", "a/b.c-d")
	for _, c := range []struct{ call, want string }{
		{"ticket_get_login_status ()", `{"username": true}`},
		{"list_all_following()", `['alice', 'bob']`},
		{"nothing(a=1)", "Error during execution: name 'nothing' is not defined"},
		{"a.kill(pid=1)", "Error during execution: Function call kill is not allowed."},
		{"os.remove(path='x')", "Error during execution: Function call remove is not allowed."},
		{"print(end='x')", "None"},
		{"dict(a=1)", `{"a": 1}`},
		{"json.dumps(obj={'a': (1,)})", `{"a": [1]}`},
		{"create_ticket(title=None, priority=-1)", `{"error": "Invalid priority. Priority must be between 1 and 5."}`},
		{"create_ticket(title=[..., b'x'])", "{'id': 7, 'title': [Ellipsis, b'x'], 'description': '', " +
			"'status': 'Open', 'priority': 1, 'created_by': 'ann'}"},
		{"create_ticket(title='x', **y)", "Error during execution: the expression cannot be evaluated"},
		{"create_ticket(title=lambda: 1)", "Error during execution: the expression cannot be evaluated"},
		{"create_ticket(title='logout ()')", `{"id": 8, ` +
			`"title": "a_b_c_d_eval_multi_turn_base_900_ticketapi_instance.logout()", ` +
			`"description": "", "status": "Open", "priority": 1, "created_by": "ann"}`},
		{"ticket_login.x(a=1)", "Error during execution: name 'ticket_login' is not defined"},
		{"()", "()"},
		{"dict(a=[2.50j, '\\ud83d'])", "{'a': [2.5j, '\\ud83d']}"},
		{"dict(a='\\ud83dx')", `{"a": "\ud83dx"}`},
	} {
		if got := x.Run(c.call); got != c.want {
			t.Errorf("%s gives %s\n want %s", c.call, got, c.want)
		}
	}
}

func TestReadEntryErrors(t *testing.T) {
	for _, c := range []struct{ question, answer, want string }{
		{"{", "", "multiturn: question: "},
		{`{"id": "x_1"}`, "", "multiturn: x_1: involved_classes: missing"},
		{`{"id": "x_1", "involved_classes": ["Y"]}`, "", `multiturn: x_1: involved_classes: no class "Y"; known are`},
		{`{"id": "x_1", "involved_classes": ["MathAPI"], "initial_config": 1}`, "",
			"multiturn: x_1: initial_config: want an object"},
		{`{"id": "x_1", "involved_classes": ["MathAPI"]}`, `{"id": "x_2"}`,
			"multiturn: the answer is for x_2, the question is x_1"},
		{`{"id": "x_1", "involved_classes": ["MathAPI"]}`, `{"id": "x_1", "ground_truth": [1]}`,
			"multiturn: x_1: answer: "},
	} {
		_, err := multiturn.ReadEntry([]byte(c.question), []byte(c.answer))
		if err == nil || !strings.HasPrefix(err.Error(), c.want) {
			t.Errorf("%s: %v, want %s", c.question, err, c.want)
		}
	}
	long := `{"id": "multi_turn_long_context_1", "involved_classes": ["MathAPI"], "ground_truth": []}`
	e, err := multiturn.ReadEntry([]byte(long), nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = multiturn.Check(e, nil, multiturn.Options{})
	if err == nil || !strings.Contains(err.Error(), "sim.ReadExtension") {
		t.Errorf("a long context without its texts: %v", err)
	}
}

// TestHostileAnswers: no answer takes long, and none is an error of ours.
func TestHostileAnswers(t *testing.T) {
	question := `{"id": "multi_turn_base_900", "involved_classes": ["MathAPI", "TwitterAPI", "TicketAPI"],
		"initial_config": {"TwitterAPI": {"authenticated": true}, "TicketAPI": {"current_user": "ann"}}}`
	e := entry(t, question, `[["posting_get_login_status()"]]`)
	post := "post_tweet(content='" + strings.Repeat("x", 1000) + "', mentions=[]), "
	for _, c := range []struct{ name, step string }{
		{"deep lists", "[add(a=" + strings.Repeat("[", 5000) + strings.Repeat("]", 5000) + ", b=1)]"},
		{"large power", "[power(base=99999999999, exponent=99999999999)]"},
		{"nested powers", "[power(base=power(base=power(base=9999, exponent=9999), exponent=9999), exponent=9999)]"},
		{"many digits", "[square_root(number=2, precision=20000)" +
			strings.Repeat(", logarithm(value=2, base=3, precision=19999)", 2000) + "]"},
		{"many digits as texts", "[sum_values(numbers=[1])" +
			strings.Repeat(", logarithm(value=2, base=-3, precision=' +19999')", 2000) + "]"},
		{"many posts", "[" + strings.Repeat(post, 500) +
			strings.Repeat("search_tweets(keyword='y'), ", 15000) + "logout()]"},
		{"many results", "[" + strings.Repeat(post, 200) +
			strings.Repeat("get_user_tweets(username='john'), ", 20000) + "logout()]"},
		{"posts of posts", "[" + doubling(40) + "get_tweet(tweet_id=39)]"},
		{"a ticket in itself", "[create_ticket(title='a'), " +
			"edit_ticket(ticket_id=1, updates={'title': 1, 'description': 2}), " +
			"resolve_ticket(ticket_id=1, resolution=get_ticket(ticket_id=1)), get_ticket(ticket_id=1)]"},
	} {
		start := time.Now()
		v, err := multiturn.Check(e, [][]string{{c.step}}, multiturn.Options{})
		if err != nil || v.Valid {
			t.Errorf("%s: %v, valid %v", c.name, err, v.Valid)
		}
		if took := time.Since(start); took > 30*time.Second {
			t.Errorf("%s took %v", c.name, took)
		} else {
			t.Logf("%s: %v", c.name, took)
		}
	}
}

// doubling posts posts that hold the one before twice.
func doubling(n int) string {
	var b strings.Builder
	b.WriteString("post_tweet(content='x'), ")
	for i := range n {
		fmt.Fprintf(&b, "post_tweet(content=get_tweet(tweet_id=%d), tags=get_tweet(tweet_id=%d)), ", i, i)
	}
	return b.String()
}
