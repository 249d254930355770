package serve_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"

	"itool/ops/serve"
	"itool/stages/policy"
	"itool/stages/policy/policytest"
)

// A server of a tiny model answers one request; a real program passes the server to
// http.ListenAndServe.
func ExampleServer() {
	p, err := policy.Open(policytest.Tiny(1), policy.Options{})
	if err != nil {
		log.Fatal(err)
	}
	s := serve.New(p, serve.Options{Name: "tiny"})
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); s.Run(ctx) }()
	defer func() { stop(); <-done }()

	request := `{"prompt": "abc", "max_tokens": 5, "temperature": 0}`
	r := httptest.NewRequest(http.MethodPost, "http://localhost/v1/completions", strings.NewReader(request))
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	fmt.Println(w.Code, strings.Contains(w.Body.String(), `"completion_tokens":5`))
	// Output: 200 true
}
