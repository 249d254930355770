package serve_test

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"itool/ops/serve"
	"itool/stages/policy/policytest"
)

// do sends a request with headers, in pairs.
func do(t *testing.T, method, url, body string, headers ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	got, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer got.Body.Close()
	raw, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	return got, string(raw)
}

// TestModels: the list, the only model, and others by name.
func TestModels(t *testing.T) {
	server := start(t, policytest.Open(t, 1), serve.Options{Name: "org/m"})
	type model struct {
		ID, Object string
		Created    int64
	}
	var list struct{ Data []model }
	var one model
	_, body := do(t, "GET", server.URL+"/v1/models", "")
	if err := json.Unmarshal([]byte(body), &list); err != nil || len(list.Data) != 1 || list.Data[0].Created == 0 {
		t.Errorf("the list: %v %s", err, body)
	}
	_, body = do(t, "GET", server.URL+"/v1/models/org/m", "")
	if err := json.Unmarshal([]byte(body), &one); err != nil || one != list.Data[0] || one.Object != "model" {
		t.Errorf("the model: %v %s", err, body)
	}
	for _, c := range []struct{ method, path, body string }{
		{"GET", "/v1/models/gpt", ""},
		{"POST", "/v1/completions", `{"model": "gpt", "prompt": "a"}`},
		{"POST", "/v1/chat/completions", `{"model": "gpt", "messages": [{"role": "user", "content": "a"}]}`},
	} {
		var e struct {
			Error struct{ Message, Type, Param, Code string }
		}
		r, body := do(t, c.method, server.URL+c.path, c.body)
		err := json.Unmarshal([]byte(body), &e)
		if err != nil || r.StatusCode != 404 || e.Error.Code != "model_not_found" || e.Error.Param != "model" ||
			!strings.Contains(e.Error.Message, `"org/m"`) || e.Error.Type != "invalid_request_error" {
			t.Errorf("%s %s: %d %s %v", c.method, c.path, r.StatusCode, body, err)
		}
	}
}

// TestErrorsInOrder: of several errors the client always gets the same one.
func TestErrorsInOrder(t *testing.T) {
	server := start(t, policytest.Open(t, 1), serve.Options{})
	const request = `{"prompt": "a", "suffix": "x", "best_of": 2, "logit_bias": {"1": 1}, "presence_penalty": 1}`
	for range 20 {
		_, body := do(t, "POST", server.URL+"/v1/completions", request)
		if !strings.Contains(body, "presence_penalty") {
			t.Fatal(body)
		}
	}
}

// TestHosts: without a key a name that somebody else may let point here is refused.
func TestHosts(t *testing.T) {
	for _, c := range []struct {
		host   string
		o      serve.Options
		status int
	}{
		{"localhost:8000", serve.Options{}, 200},
		{"LOCALHOST", serve.Options{}, 200},
		{"[::1]:8000", serve.Options{}, 200},
		{"192.168.0.9", serve.Options{}, 200},
		{"evil.example:8000", serve.Options{}, 421},
		{"127.0.0.1.evil.example", serve.Options{}, 421},
		{"gpu-box:8000", serve.Options{AnyHost: true}, 200},
		{"gpu-box:8000", serve.Options{Key: "k"}, 200},
	} {
		w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/v1/models", nil)
		r.Host = c.host
		r.Header.Set("Authorization", "Bearer "+c.o.Key)
		s := serve.New(policytest.Open(t, 1), c.o)
		s.ServeHTTP(w, r)
		if w.Code != c.status {
			t.Errorf("%s: got %d, want %d: %s", c.host, w.Code, c.status, w.Body)
		}
	}
}

// TestOrigins: pages of other origins may ask if they are listed, and only then.
func TestOrigins(t *testing.T) {
	const page, request = "https://app.example", `{"prompt": "a", "max_tokens": 1}`
	for _, c := range []struct {
		name    string
		origins []string
		key     string
		allowed bool
	}{
		{"no setting", nil, "", false},
		{"another", []string{"https://other.example"}, "", false},
		{"listed", []string{"https://other.example", page}, "", true},
		{"all", []string{"*"}, "", true},
		{"with a key", []string{page}, "k", true},
	} {
		server := start(t, policytest.Open(t, 1), serve.Options{Origins: c.origins, Key: c.key})
		url := server.URL + "/v1/completions"
		r, _ := do(t, "OPTIONS", url, "", "Origin", page, "Access-Control-Request-Method", "POST",
			"Access-Control-Request-Headers", "authorization, x-stainless-os")
		h := r.Header
		allowed := h.Get("Access-Control-Allow-Origin") == page &&
			strings.Contains(h.Get("Access-Control-Allow-Headers"), "authorization") &&
			strings.Contains(h.Get("Access-Control-Allow-Methods"), "POST")
		if allowed != c.allowed || r.StatusCode != 204 {
			t.Errorf("%s: the preflight gets %d %v", c.name, r.StatusCode, h)
		}
		// A page can send text without a preflight.
		r, body := do(t, "POST", url, request, "Origin", page, "Sec-Fetch-Site", "cross-site",
			"Authorization", "Bearer "+c.key)
		if allowed := r.StatusCode == 200 && r.Header.Get("Access-Control-Allow-Origin") == page; allowed != c.allowed {
			t.Errorf("%s: the page gets %d %s", c.name, r.StatusCode, body)
		}
		if r, body := do(t, "POST", url, request, "Authorization", "Bearer "+c.key); r.StatusCode != 200 {
			t.Errorf("%s: a program gets %d %s", c.name, r.StatusCode, body)
		}
	}
	for origin, good := range map[string]bool{
		"*": true, page: true, "http://localhost:3000": true, page + "/": false, "app.example": false, "": false,
		"ftp://x": false, "https://": false,
	} {
		if err := serve.CheckOrigin(origin); (err == nil) != good {
			t.Errorf("%q: %v", origin, err)
		}
	}
}

// TestRecord: the log and the metrics have numbers of each request, and neither texts nor keys.
func TestRecord(t *testing.T) {
	var mu sync.Mutex
	var log bytes.Buffer
	handler := slog.NewJSONHandler(writer(func(p []byte) (int, error) {
		mu.Lock()
		defer mu.Unlock()
		return log.Write(p)
	}), nil)
	s := serve.Options{Key: "secret", Requested: slog.New(handler)}
	server := start(t, policytest.Open(t, 1), s)
	key := []string{"Authorization", "Bearer secret"}
	r, _ := do(t, "POST", server.URL+"/v1/completions", `{"prompt": "hush", "max_tokens": 5, "temperature": 0}`, key...)
	do(t, "POST", server.URL+"/v1/completions", `{"prompt": "hush", "n": 99}`, key...)
	do(t, "GET", server.URL+"/v1/models", "", "Authorization", "Bearer wrong")
	do(t, "GET", server.URL+"/hush", "", key...)
	_, metrics := do(t, "GET", server.URL+"/metrics", "", key...)
	for _, want := range []string{
		`itool_serve_requests_total{route="POST /v1/completions",status="200"} 1`,
		`itool_serve_requests_total{route="POST /v1/completions",status="400"} 1`,
		`itool_serve_requests_total{route="other",status="401"} 1`,
		`itool_serve_requests_total{route="other",status="404"} 1`,
		`itool_serve_tokens_total{kind="completion"} 5`,
		"itool_serve_first_token_seconds_count 1",
		"itool_serve_requests_running 1", // this one
	} {
		if !strings.Contains(metrics, want+"\n") {
			t.Errorf("no %s in\n%s", want, metrics)
		}
	}
	if r, _ := do(t, "GET", server.URL+"/metrics", ""); r.StatusCode != 401 {
		t.Errorf("metrics without the key: %d", r.StatusCode)
	}
	mu.Lock()
	defer mu.Unlock()
	var first struct {
		ID, Path, Code string
		Status         int
		Prompt         int `json:"prompt_tokens"`
		Completion     int `json:"completion_tokens"`
	}
	if err := json.NewDecoder(bytes.NewReader(log.Bytes())).Decode(&first); err != nil || first.Status != 200 ||
		first.Completion != 5 || first.Prompt == 0 || first.ID != r.Header.Get("X-Request-Id") {
		t.Errorf("%v: %+v", err, first)
	}
	text := log.String()
	if strings.Contains(text, "secret") || strings.Contains(text, "wrong") || strings.Count(text, "hush") != 1 {
		t.Errorf("a text or a key is in the log: %s", text) // /hush is a path
	}
	if !strings.Contains(text, `"code":"invalid_value"`) || !strings.Contains(text, `"code":"invalid_api_key"`) {
		t.Errorf("no codes in %s", text)
	}
}

type writer func(p []byte) (int, error)

func (w writer) Write(p []byte) (int, error) { return w(p) }
