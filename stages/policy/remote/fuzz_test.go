package remote

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"testing"

	"itool/stages/policy"
)

// canned answers every request with one body.
type canned struct {
	status int
	body   []byte
}

func (c canned) RoundTrip(*http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: c.status, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(c.body))}, nil
}

// FuzzReplies: reading any answer of a server ends in tokens or in a fault, without a panic.
func FuzzReplies(f *testing.F) {
	for _, body := range []string{
		`data: {"choices":[{"token_ids":[5],"logprobs":{"token_logprobs":[-1]},"finish_reason":"stop"}]}` + "\n\n",
		`{"choices":[{"logprobs":{"tokens":["token_id:33","token_id:34"],"token_logprobs":[null,-2],` +
			`"top_logprobs":[{"token_id:33":-1}]}}]}`,
		`data: {"meta_info":{"completion_tokens":1,"output_token_logprobs":[[-1,5,null]]}}` + "\n\ndata: [DONE]\n\n",
		`{"meta_info":{"input_token_logprobs":[[null,33,"a"],[-1,34,"b"]],` +
			`"output_token_ids_logprobs":[[[-1,33,null]]]}}`,
		`{"tokens":[5,6],"completion_probabilities":[{"id":6,"logprob":-1}]}`,
		`{"error":{"message":"no"}}`, `data: {"error":"no"}`, `data:`, `null`, `[]`,
	} {
		f.Add([]byte(body), 200)
	}
	f.Fuzz(func(t *testing.T, body []byte, status int) {
		client := &http.Client{Transport: canned{status, body}}
		pool, err := New(Options{Addresses: []string{"http://gpu1"}, Key: "s3cret", Client: client})
		if err != nil {
			t.Fatal(err)
		}
		a, prompt := pool.addresses[0], []int32{33, 34}
		for name, k := range kinds {
			q := question{prompt: prompt, Request: policy.Request{MaxTokens: 4}}
			drawn := 0
			failed := k.draw(t.Context(), a, q, func(policy.Token) (bool, error) { drawn++; return drawn < 4, nil })
			_, scoring := k.score(t.Context(), a, "m", prompt, 1)
			_, choosing := k.next(t.Context(), a, "m", prompt, []int32{33})
			_, _, probing := a.probe(t.Context())
			for _, err := range []error{failed, scoring, choosing, probing} {
				var why *fault
				if err != nil && !errors.As(err, &why) && !errors.Is(err, policy.ErrCannot) {
					t.Fatalf("%s: %T %v is no fault", name, err, err)
				}
			}
		}
	})
}
