package apibank_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"itool/schemas/toolcall/apibank"
)

const databaseNames = "Account Agenda Alarm Appointments Bank HealthData History Hotel ImageCaptioning Meeting " +
	"QuestionAnswering Reminder Scenes SpeechRecognition Stock Symptom TimeSwitch Wiki"

// small is a benchmark of one user and one stock.
func small(t testing.TB) apibank.Databases {
	t.Helper()
	folder := fstest.MapFS{}
	for _, name := range strings.Fields(databaseNames) {
		folder[name+".json"] = &fstest.MapFile{Data: []byte("{}")}
	}
	folder["Account.json"].Data = []byte(`{"ann": {"password": "p", "token": "t", "email": "a@b.cc"}}`)
	folder["Stock.json"].Data = []byte(`{"X": {"2023-01-02": 5.0}}`)
	db, err := apibank.ReadDatabases(folder)
	if err != nil {
		t.Fatal(err)
	}
	delete(folder, "Bank.json")
	if _, err := apibank.ReadDatabases(folder); err == nil || !strings.Contains(err.Error(), "Bank.json") {
		t.Errorf("without a database: %v", err)
	}
	folder["Bank.json"] = &fstest.MapFile{Data: []byte("{")}
	if _, err := apibank.ReadDatabases(folder); err == nil || !strings.Contains(err.Error(), "Bank.json") {
		t.Errorf("with a broken database: %v", err)
	}
	return db
}

func truth(t testing.TB, line string) apibank.Truth {
	t.Helper()
	all, err := apibank.ReadDialogue(strings.NewReader(line))
	if err != nil {
		t.Fatal(err)
	}
	return all[0]
}

const (
	stockLine = `{"role": "API", "api_name": "QueryStock", "param_dict": {"stock_code": "X", "date": "2023-01-02"}, ` +
		`"result": {"input": {"stock_code": "X", "date": "2023-01-02"}, "output": 5, "exception": null}}`
	wordLine = `{"role": "API", "api_name": "Dictionary", "param_dict": {"keyword": "ice cream"}, ` +
		`"result": {"output": [], "exception": null}}`
	sumLine = `{"role": "API", "api_name": "Calculator", "param_dict": {"formula": "2*(3+4)/7"}, ` +
		`"result": {"input": {"formula": "2*(3+4)/7"}, "output": 2.0, "exception": null}}`
)

// TestJudge shows each category once.
func TestJudge(t *testing.T) {
	db := small(t)
	for _, c := range []struct {
		line, answer string
		want         apibank.Category
	}{
		{stockLine, "API-Request: [QueryStock(stock_code=' x ', date='2023-1-02')]", apibank.Correct},
		{stockLine, "the price, please", apibank.NoCall},
		{stockLine, "[QueryStock(stock_code='X',\ndate='2023-01-02')]", apibank.NoCall},
		{stockLine, "[GetToday()]", apibank.NameMismatch},
		{stockLine, "[QueryStock(stock_code='X', day='2023-01-02')]", apibank.InvalidParameter},
		{stockLine, "[QueryStock(stock_code='X', day='1', self='x')]", apibank.Raises},
		{stockLine, "[QueryStock(stock_code='X')]", apibank.MissingArgument},
		{stockLine, "[QueryStock(stock_code='X', date='2023-02-30')]", apibank.HasException},
		{strings.Replace(stockLine, `"output": 5`, `"output": 6`, 1),
			"[QueryStock(stock_code='X', date='2023-01-02')]", apibank.OutputMismatch},
		{strings.Replace(stockLine, `{"stock_code": "X", "date": "2023-01-02"}, "out`, `{"date": "1"}, "out`, 1),
			"[QueryStock(stock_code='X', date='2023-01-02')]", apibank.KeyError},
		{wordLine, "[Dictionary(keyword='Ice_Cream')]", apibank.Correct},
		{wordLine, "[Dictionary(keyword='ice')]", apibank.InputMismatch},
		{sumLine, "[Calculator(formula='2 * (3+4) / 7')]", apibank.Correct},
		{sumLine, "[Calculator(formula='2*(3+4)/0')]", apibank.HasException},
		{sumLine, "[Calculator(formula='-5+3')]", apibank.HasException},
		{sumLine, "[Calculator(formula='((1)')]", apibank.HasException},
		{sumLine, "[Calculator(formula='(((1+2)))')]", apibank.HasException},
		{`{"role": "API", "api_name": "ForgotPassword", "param_dict": {}, "result": {"output": 1, "exception": null}}`,
			"[ForgotPassword(status='x', verification_code='1a')]", apibank.Raises},
		{`{"role": "API", "api_name": "SymptomSearch", "param_dict": {}, "result": {"input": {"symptom": "a"}, ` +
			`"output": 1, "exception": null}}`, "[SymptomSearch(symptom=' ')]", apibank.Raises},
		{`{"role": "API", "api_name": "AddMeeting", "param_dict": {}, "result": {"input": {"token": "t", ` +
			`"meeting_topic": "a", "start_time": "2023-01-01 10:00:00", "end_time": "2023-01-01 11:00:00", ` +
			`"location": "l", "attendees": "b"}, "output": "success", "exception": null}}`,
			"[AddMeeting(token='t', meeting_topic='z', start_time='2023-01-01 10:00:00', " +
				"end_time='2023-01-01 11:00:00', location='l', attendees='b')]", apibank.Uncounted},
	} {
		v := apibank.Judge(c.answer, truth(t, c.line), db)
		if v.Category != c.want || v.Correct != (c.want == apibank.Correct) || (v.Why == "") != v.Correct {
			t.Errorf("%s: %+v, want %s", c.answer, v, c.want)
		}
	}
}

// TestReadDialogue: a call that follows a call is asked twice, and errors name line and field.
func TestReadDialogue(t *testing.T) {
	said := `{"role": "User", "text": "a"}`
	lines := strings.Join([]string{said, stockLine, wordLine, said, sumLine}, "\n")
	all, err := apibank.ReadDialogue(strings.NewReader(lines))
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[int]string{0: "QueryStock", 1: "Dictionary", 2: "Dictionary", 4: "Calculator"} {
		if all[id].Name != want {
			t.Errorf("question %d asks for %q, want %q", id, all[id].Name, want)
		}
	}
	if len(all) != 4 {
		t.Errorf("%d questions, want 4", len(all))
	}
	for line, want := range map[string]string{
		"{": "line 2: ", strings.Replace(stockLine, "QueryStock", "Fly", 1): `line 2: api_name: there is no API "Fly"`,
		strings.Replace(stockLine, `"output"`, `"put"`, 1): "line 2: result: output is missing",
		`{"role": "API", "param_dict": []}`:                "line 2: param_dict: want an object",
	} {
		if _, err := apibank.ReadDialogue(strings.NewReader(said + "\n" + line)); err == nil ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", line, err, want)
		}
	}
}

// FuzzJudge: no answer panics or hangs, and the right call is right behind any words without brackets.
func FuzzJudge(f *testing.F) {
	db, truths := small(f), []apibank.Truth{truth(f, stockLine), truth(f, wordLine), truth(f, sumLine)}
	for _, s := range []string{
		"[QueryStock(stock_code='X', date='2023-01-02')]", "[Calculator(formula='((1+2)*(3-4))/5')]",
		"[Calculator(formula='" + strings.Repeat("(", 400) + "1+2" + strings.Repeat(")", 400) + "')]",
		"[Dictionary(keyword=[1, 2], x = 3, y=\"a'b\")]", "[BookHotel(room_count=٣)]",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, answer string) {
		for _, want := range truths {
			apibank.Judge(answer, want, db)
		}
		if strings.ContainsAny(answer, "[\n") {
			return
		}
		if v := apibank.Judge(answer+"[QueryStock(stock_code='X', date='2023-01-02')]", truths[0], db); !v.Correct {
			t.Errorf("behind %q: %+v", answer, v)
		}
	})
}
