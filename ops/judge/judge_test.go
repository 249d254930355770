package judge_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"itool/ops/judge"
	"itool/schemas"
	"itool/stages"
)

// request is what a judge reads.
type request struct {
	Protocol  string `json:"protocol"`
	Batch     uint64 `json:"batch"`
	Questions []struct {
		Example struct {
			ID, Category, Reference     string
			Messages, Tools, Acceptable json.RawMessage
		}
		Answer string
	}
}

// reply answers a batch: right is what equals the reference.
func reply(r request) string {
	var all []string
	for _, q := range r.Questions {
		pass := q.Answer == q.Example.Reference
		all = append(all, fmt.Sprintf(`{"pass":%t,"reason":"%d bytes"}`, pass, len(q.Answer)))
	}
	return fmt.Sprintf(`{"judge":"units 3","batch":%d,"outcomes":[%s]}`, r.Batch, strings.Join(all, ","))
}

// TestMain lets this binary be a judge: "judge MODE FILE". FILE counts its starts.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "judge" {
		os.Exit(beJudge(os.Args[2], os.Args[3]))
	}
	os.Exit(m.Run())
}

func beJudge(mode, file string) int {
	f, err := os.OpenFile(file, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return 1
	}
	fmt.Fprintln(f, "started")
	in := bufio.NewReader(os.Stdin)
	for {
		line, err := in.ReadBytes('\n')
		if err != nil {
			fmt.Fprintln(f, "ended")
			return 0
		}
		var r request
		if err := json.Unmarshal(line, &r); err != nil {
			return 2
		}
		if len(r.Questions) > 0 {
			fmt.Fprintf(f, "asked %d\n", len(r.Questions))
		}
		if code, done := misbehave(mode, r); done {
			return code
		}
		fmt.Println(reply(r))
	}
}

// misbehave is what a mode does otherwise than a good judge. done ends the program.
func misbehave(mode string, r request) (code int, done bool) {
	for _, q := range r.Questions {
		switch {
		case mode == "dies" && q.Answer == "poison":
			fmt.Fprintln(os.Stderr, strings.Repeat("x", 5000), "out of\nmemory")
			return 7, true
		case mode == "hangs" && q.Answer == "poison":
			time.Sleep(time.Hour)
		case mode == "environment":
			fmt.Fprintln(os.Stderr, "secret:"+os.Getenv("ITOOL_TEST_TOKEN"), "home:"+os.Getenv("TEST_HOME"))
			return 1, true
		}
	}
	if mode == "once" && len(r.Questions) > 0 { // it ends behind each answer
		fmt.Println(reply(r))
		return 0, true
	}
	if mode == "chatty" {
		fmt.Println("loading …")
	}
	return 0, false
}

// command opens this binary as a judge; starts has a line for all that it did.
func command(t *testing.T, mode string, o judge.Options) (j *judge.Judge, log func() string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "log")
	j, err := judge.Open(strings.Join([]string{os.Args[0], "judge", mode, file}, " "), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(j.Close)
	return j, func() string {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
}

func questions(answers ...string) (all []stages.Question) {
	ex := &schemas.Example{
		ID: "e7", Tools: `[{"name":"f"}]`, Reference: "[f()]", Messages: `[{"role":"user","content":"<go>"}]`,
	}
	for _, a := range answers {
		all = append(all, stages.Question{Example: ex, Answer: a})
	}
	return all
}

const right, wrong = "[f()]", "[g()]"

// TestCommand: a program answers, in order; equal answers are judged once, and it is started once.
func TestCommand(t *testing.T) {
	j, log := command(t, "good", judge.Options{})
	if name, err := j.Name(t.Context()); name != "units 3" || err != nil {
		t.Fatalf("its name is %q, %v", name, err)
	}
	for range 2 {
		got, err := j.Judge(t.Context(), "units 3", questions(wrong, right, wrong))
		if err != nil {
			t.Fatal(err)
		}
		no, yes := stages.Outcome{Score: -1, Reason: "5 bytes"}, stages.Outcome{Pass: true, Score: 1, Reason: "5 bytes"}
		if got[0] != no || got[1] != yes || got[2] != no {
			t.Errorf("got %+v", got)
		}
	}
	if got := log(); got != "started\nasked 2\n" {
		t.Errorf("it did this, want one start and two answers once:\n%s", got)
	}
	j.Close()
	if got, want := log(), "started\nasked 2\n"; got != want && got != want+"ended\n" {
		t.Errorf("after Close: %q", got)
	}
}

// TestABatchIsCut: more answers than a batch takes go out in several.
func TestABatchIsCut(t *testing.T) {
	j, log := command(t, "good", judge.Options{})
	var answers []string
	for i := range 70 {
		answers = append(answers, fmt.Sprint("answer ", i))
	}
	if _, err := j.Judge(t.Context(), "units 3", questions(answers...)); err != nil {
		t.Fatal(err)
	}
	if got, want := log(), "started\nasked 32\nasked 32\nasked 6\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// TestAJudgeThatDies: it is started again. What it dies at is named with its last words; next time the others of
// that batch are judged, and only that one fails.
func TestAJudgeThatDies(t *testing.T) {
	j, log := command(t, "dies", judge.Options{})
	_, err := j.Judge(t.Context(), "units 3", questions(right, "poison"))
	if err == nil || !strings.Contains(err.Error(), "exit status 7") ||
		!strings.Contains(err.Error(), "out of memory") || len(err.Error()) > 1000 {
		t.Errorf("got %v", err)
	}
	if _, err := j.Judge(t.Context(), "units 3", questions(right, wrong)); err != nil {
		t.Errorf("the others: %v", err)
	}
	_, err = j.Judge(t.Context(), "units 3", questions("poison"))
	if err == nil || !strings.Contains(err.Error(), "an answer to example e7") {
		t.Errorf("alone: got %v, want the example's name", err)
	}
	if n := strings.Count(log(), "started"); n != 4 { // two for the batch, one for the others, one for the last
		t.Errorf("%d starts, want 4:\n%s", n, log())
	}
}

// TestAJudgeThatEndsBetweenBatches: it is started again, and no question fails.
func TestAJudgeThatEndsBetweenBatches(t *testing.T) {
	j, _ := command(t, "once", judge.Options{})
	for _, answer := range []string{right, wrong, "x"} {
		if _, err := j.Judge(t.Context(), "units 3", questions(answer)); err != nil {
			t.Errorf("%q: %v", answer, err)
		}
	}
}

// TestAJudgeThatHangs is killed when its time is up, and the next one is asked.
func TestAJudgeThatHangs(t *testing.T) {
	j, log := command(t, "hangs", judge.Options{Timeout: 3 * time.Second})
	_, err := j.Judge(t.Context(), "units 3", questions("poison"))
	if err == nil || !strings.Contains(err.Error(), "no answer within 3s (--judge-timeout)") {
		t.Errorf("got %v", err)
	}
	if n := strings.Count(log(), "started"); n != 1 {
		t.Errorf("%d starts: what takes too long is not tried again at once", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go cancel()
	if _, err := j.Judge(ctx, "units 3", questions("poison")); err == nil {
		t.Error("a cancelled question has an answer")
	}
}

func TestNeitherLoginsNorChatter(t *testing.T) {
	t.Setenv("ITOOL_TEST_TOKEN", "hidden")
	t.Setenv("TEST_HOME", "here")
	j, _ := command(t, "environment", judge.Options{})
	_, err := j.Judge(t.Context(), "units 3", questions(right))
	if err == nil || strings.Contains(err.Error(), "hidden") || !strings.Contains(err.Error(), "secret: home:here") {
		t.Errorf("its environment: %v", err)
	}
	j, _ = command(t, "chatty", judge.Options{})
	if _, err := j.Name(t.Context()); err == nil || !strings.Contains(err.Error(), `"loading …\n"`) {
		t.Errorf("a line that is no answer: %v", err)
	}
	j, err = judge.Open(filepath.Join(t.TempDir(), "absent"), judge.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	if _, err := j.Name(t.Context()); err == nil || !strings.Contains(err.Error(), "absent") {
		t.Errorf("a program that is not there: %v", err)
	}
	if _, err := judge.Open(" ", judge.Options{}); err == nil {
		t.Error("an empty command opens")
	}
}

// served is a judge behind HTTP that answers as f says.
func served(t *testing.T, f func(request) string, o judge.Options) (j *judge.Judge, posts *atomic.Int64) {
	t.Helper()
	posts = new(atomic.Int64)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		posts.Add(1)
		body, _ := io.ReadAll(r.Body)
		var q request
		if err := json.Unmarshal(body, &q); err != nil || q.Protocol != judge.Protocol || r.Method != http.MethodPost ||
			r.Header.Get("Content-Type") != "application/json" || r.Header.Get("Authorization") != "Bearer t0ken" {
			http.Error(w, "not the protocol", http.StatusBadRequest)
			return
		}
		io.WriteString(w, f(q))
	}))
	t.Cleanup(s.Close)
	o.Token = "t0ken"
	j, err := judge.Open(s.URL+"/judge?key=s3cret", o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(j.Close)
	return j, posts
}

// TestEndpoint: items that ask at the same time share posts, and each gets its own answers.
func TestEndpoint(t *testing.T) {
	j, posts := served(t, reply, judge.Options{})
	if name, err := j.Name(t.Context()); name != "units 3" || err != nil {
		t.Fatalf("its name is %q, %v", name, err)
	}
	var all sync.WaitGroup
	for i := range 40 {
		all.Go(func() {
			answer := fmt.Sprint("x", i%20)
			got, err := j.Judge(t.Context(), "units 3", questions(answer, right))
			if err != nil || got[0].Pass || !got[1].Pass || got[0].Reason != fmt.Sprintf("%d bytes", len(answer)) {
				t.Errorf("%s: got %+v, %v", answer, got, err)
			}
		})
	}
	all.Wait()
	if n := posts.Load(); n > 22 {
		t.Errorf("%d posts for 21 different answers and one name", n)
	}
}

// TestRefusedAnswers: what the page does not allow is refused by name, and is no outcome.
func TestRefusedAnswers(t *testing.T) {
	outcomes := func(text string) func(request) string {
		return func(r request) string {
			return fmt.Sprintf(`{"judge":"units 3","batch":%d,"outcomes":%s}`, r.Batch, text)
		}
	}
	instead := func(old, text string) func(request) string {
		return func(r request) string { return strings.Replace(reply(r), old, text, 1) }
	}
	long := strings.Repeat("x", 5000)
	for name, c := range map[string]struct {
		say  func(request) string
		want string
	}{
		"not a number":        {outcomes(`[{"score":NaN}]`), "no NaN"},
		"infinite":            {outcomes(`[{"score":1e999}]`), "outcome 0: "},
		"too good":            {outcomes(`[{"score":1.5}]`), "score: 1.5 is not within -1..1"},
		"nothing":             {outcomes(`[{"reason":"?"}]`), "neither pass nor score"},
		"null":                {outcomes(`[null]`), "neither pass nor score"},
		"text for a bool":     {outcomes(`[{"pass":"yes"}]`), "outcome 0: "},
		"too many":            {outcomes(`[{"pass":true},{"pass":true}]`), "2 outcomes for 1 answers"},
		"too few":             {outcomes(`[]`), "0 outcomes for 1 answers"},
		"no list":             {outcomes(`null`), "0 outcomes for 1 answers"},
		"a long reason":       {outcomes(`[{"pass":true,"reason":"` + long + `"}]`), "reason: 5000 bytes"},
		"too long":            {outcomes(strings.Repeat(long, 60)), "longer than 262144 bytes"},
		"no JSON":             {func(request) string { return "<html>" }, `"<html>" is no JSON`},
		"empty":               {func(request) string { return "" }, "no JSON"},
		"no name":             {instead(`units 3`, ``), "has no judge"},
		"a name with a break": {instead(`units`, `a\nb`), "is no name"},
		"another batch":       {func(r request) string { r.Batch++; return reply(r) }, "not to batch"},
		"no batch":            {instead(`"batch"`, `"b"`), "not to batch"},
		"another judge":       {instead("3", "4"), `calls itself "units 4", the run wants "units 3"`},
	} {
		j, _ := served(t, c.say, judge.Options{})
		got, err := j.Judge(t.Context(), "units 3", questions(right))
		if err == nil || !strings.Contains(err.Error(), c.want) || len(err.Error()) > 1000 {
			t.Errorf("%s: got %+v, %v; want %q", name, got, err, c.want)
		} else if strings.Contains(err.Error(), "s3cret") || strings.Contains(err.Error(), "t0ken") {
			t.Errorf("%s: %v shows a secret", name, err)
		}
	}
}

// TestOutcomes: pass decides, and what is left out follows from the other.
func TestOutcomes(t *testing.T) {
	for text, want := range map[string]stages.Outcome{
		`{"pass":true}`:              {Pass: true, Score: 1},
		`{"pass":false}`:             {Score: -1},
		`{"score":1}`:                {Pass: true, Score: 1},
		`{"score":0.99}`:             {Score: 0.99},
		`{"score":-1}`:               {Score: -1},
		`{"pass":true,"score":0.25}`: {Pass: true, Score: 0.25},
		`{"pass":false,"score":1,"reason":"é","confidence":7}`: {Score: 1, Reason: "é"},
	} {
		j, _ := served(t, func(r request) string {
			return fmt.Sprintf(`{"judge":"units 3","batch":%d,"outcomes":[%s]}`, r.Batch, text)
		}, judge.Options{})
		if got, err := j.Judge(t.Context(), "units 3", questions(right)); err != nil || got[0] != want {
			t.Errorf("%s: got %+v, %v; want %+v", text, got, err, want)
		}
	}
}

// TestAnEndpointThatIsAway is named without what its URL holds; a redirect is not followed.
func TestAnEndpointThatIsAway(t *testing.T) {
	s := httptest.NewServer(http.RedirectHandler("http://127.0.0.1:1/elsewhere", http.StatusTemporaryRedirect))
	redirecting := s.URL
	defer s.Close()
	for address, want := range map[string]string{
		"http://user:pass1@127.0.0.1:1/judge?key=s3cret": "http://127.0.0.1:1/judge was asked about its name: ",
		redirecting: "status 307",
	} {
		j, err := judge.Open(address, judge.Options{Token: "t0ken"})
		if err != nil {
			t.Fatal(err)
		}
		_, err = j.Name(t.Context())
		j.Close()
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
		for _, secret := range []string{"s3cret", "t0ken", "pass1"} {
			if strings.Contains(fmt.Sprint(err), secret) {
				t.Errorf("%v shows %s", err, secret)
			}
		}
	}
}

// TestWhatIsSent is the guide's request, to the byte but for the number of the batch.
func TestWhatIsSent(t *testing.T) {
	page, err := os.ReadFile("../guide/judge.md")
	if err != nil {
		t.Fatal(err)
	}
	sent := make(chan string, 9)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		sent <- string(body)
		var q request
		if err := json.Unmarshal(body, &q); err != nil {
			t.Error(err)
		}
		io.WriteString(w, reply(q))
	}))
	defer s.Close()
	j, err := judge.Open(s.URL, judge.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer j.Close()
	ex := &schemas.Example{
		ID: "s-00001", Tools: `[{"name": "f"}]`, Reference: "[f(n=1)]",
		Messages: `[{"role": "user", "content": "call f"}]`,
	}
	if _, err := j.Judge(t.Context(), "units 3", []stages.Question{{Example: ex, Answer: "I cannot."}}); err != nil {
		t.Fatal(err)
	}
	got := regexp.MustCompile(`"batch":\d+`).ReplaceAllString(<-sent, `"batch":7`)
	if !strings.Contains(string(page), "```json\n"+got+"\n```") {
		t.Errorf("the guide does not show what is sent:\n%s", got)
	}
	// Columns that are no JSON, and half a character, are sent as text.
	ex.Messages, ex.Acceptable = "no <JSON>", `{"f": [1]}`
	odd := []stages.Question{{Example: ex, Answer: "[f(n=1e999)] \xc3\n"}}
	if _, err := j.Judge(t.Context(), "units 3", odd); err != nil {
		t.Fatal(err)
	}
	last := <-sent
	for _, want := range []string{`"messages":"no <JSON>"`, `"acceptable":{"f":[1]}`, "\\n\"", "\uFFFD"} {
		if !strings.Contains(last, want) || strings.Contains(last, "\n") {
			t.Errorf("%q lacks %s", last, want)
		}
	}
}
