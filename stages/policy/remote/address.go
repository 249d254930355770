package remote

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
)

// What a server can do to us is bounded.
const (
	maxReply    = 64 << 20 // bytes of an answer that is no stream: the log-probabilities of a long prompt
	maxEvent    = 8 << 20  // bytes of one event of a stream: SGLang repeats all tokens in each
	maxError    = 4 << 10  // bytes of a refusal that are read
	maxSaid     = 300      // characters of them that are shown
	idleTimeout = 10 * time.Minute
	longestWait = time.Minute
)

// address is one server.
type address struct {
	url string // without /v1
	o   *Options

	info    sync.Mutex // held while the server is probed
	probed  *Info      // nil: not yet, or it was away since
	version int        // counts the probes
	loaded  []string   // adapters that were loaded here, the oldest first

	// Under the pool's lock.
	limit    float64 // requests at a time
	inFlight int
	failures int           // in a row
	rests    time.Time     // until then it gets no request
	quickest time.Duration // to a first token
}

// fault is a request without an answer.
type fault struct {
	text  string
	away  bool          // the server cannot be reached, or fails: it may come back as another one
	busy  bool          // it has too much to do
	gone  bool          // it does not know the model: the adapter was unloaded
	again bool          // another try can help
	wait  time.Duration // that the server asks for, 0: it does not say
}

func (f *fault) Error() string { return f.text }

// wrong is about an answer that cannot be. Another try at the same server gives the same.
func wrong(text string, args ...any) *fault { return &fault{text: fmt.Sprintf(text, args...)} }

// send posts a body as JSON, or gets if it is nil. The caller closes the response's body. The status is 200.
func (a *address) send(ctx context.Context, path string, body any) (*http.Response, error) {
	method, text := http.MethodGet, []byte(nil)
	if body != nil {
		var err error
		if text, err = json.Marshal(body); err != nil {
			return nil, err
		}
		method = http.MethodPost
	}
	req, err := http.NewRequestWithContext(ctx, method, a.url+path, bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if a.o.Key != "" {
		req.Header.Set("Authorization", "Bearer "+a.o.Key)
	}
	resp, err := a.o.Client.Do(req)
	if err != nil {
		return nil, a.lost(ctx, err)
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		return nil, a.refusal(resp)
	}
	return resp, nil
}

// lost is an error of the connection.
func (a *address) lost(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return &fault{text: a.hide(err.Error()) + ": is the server running?", away: true, again: true}
}

// hide removes the key from what a server, or the net, says, and shortens it.
func (a *address) hide(said string) string {
	if a.o.Key != "" {
		said = strings.ReplaceAll(said, a.o.Key, "…")
	}
	said = strings.Map(func(r rune) rune {
		if r < ' ' {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(said, ""))
	if len(said) > maxSaid {
		said = strings.ToValidUTF8(said[:maxSaid], "") + "…"
	}
	return strings.TrimSpace(said)
}

// refusal makes a fault of a status.
func (a *address) refusal(resp *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(resp.Body, maxError)) // a broken refusal is one, too
	said := a.hide(errorText(text))
	f := &fault{text: fmt.Sprintf("%s: %s", resp.Status, said)}
	switch code := resp.StatusCode; {
	case code == http.StatusTooManyRequests, code == http.StatusServiceUnavailable:
		f.busy, f.again = true, true
	case code >= 500:
		f.away, f.again = true, true
	case code == http.StatusNotFound, code == http.StatusBadRequest && strings.Contains(said, "not loaded"): // SGLang
		f.gone = true
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		f.text += ": give the key as ITOOL_ENGINE_KEY"
	case code < 400:
		f.text = resp.Status + ": redirects are not followed: give the address that they lead to"
	}
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 {
		f.wait = min(time.Duration(min(seconds, 3600))*time.Second, longestWait)
	}
	return f
}

// errorText is the message of an error in one of the forms that servers have, or all of it.
func errorText(body []byte) string {
	var in struct {
		Error   json.RawMessage `json:"error"`
		Message string          `json:"message"`
		Detail  json.RawMessage `json:"detail"`
	}
	if json.Unmarshal(body, &in) != nil {
		return string(body)
	}
	var inner struct {
		Message string `json:"message"`
	}
	var plain string
	switch {
	case json.Unmarshal(in.Error, &inner) == nil && inner.Message != "":
		return inner.Message
	case json.Unmarshal(in.Error, &plain) == nil && plain != "":
		return plain
	case in.Message != "":
		return in.Message
	}
	return string(body)
}

// call posts a body (nil: gets) and reads the answer as JSON. nil as into: the answer is not read.
func (a *address) call(ctx context.Context, path string, body, into any) error {
	ctx, alive, stop := watched(ctx)
	defer stop()
	resp, err := a.send(ctx, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	alive()
	if into == nil {
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxReply+1))
	switch {
	case err != nil:
		return a.lost(ctx, err)
	case len(text) > maxReply:
		return wrong("%s: an answer of more than %d bytes", path, maxReply)
	}
	if err := json.Unmarshal(text, into); err != nil {
		return wrong("%s: the answer is not the JSON that was asked for: %s", path, a.hide(err.Error()))
	}
	return nil
}

// stream posts a body and calls event for the data of each server-sent event, until it says that it has enough, or
// the stream ends.
func (a *address) stream(
	ctx context.Context, path string, body any, event func([]byte) (enough bool, err error),
) error {
	ctx, alive, stop := watched(ctx)
	defer stop() // so that the server stops drawing what is not read to its end
	resp, err := a.send(ctx, path, body)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(make([]byte, 0, 4096), maxEvent)
	for lines.Scan() {
		alive()
		data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data:"))
		if !ok {
			continue // a comment, or the empty line between events
		}
		data = bytes.TrimSpace(data)
		if string(data) == "[DONE]" {
			return nil
		}
		if enough, err := event(data); err != nil || enough {
			return err
		}
	}
	switch err := lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return wrong("%s: an event of more than %d bytes", path, maxEvent)
	case err != nil:
		return a.lost(ctx, err)
	}
	return nil
}

var errIdle = &fault{text: fmt.Sprintf("nothing came for %s", idleTimeout), away: true, again: true}

// watched returns a context that ends when alive is not called for a long time.
func watched(ctx context.Context) (watching context.Context, alive func(), stop func()) {
	ctx, cancel := context.WithCancelCause(ctx)
	timer := time.AfterFunc(idleTimeout, func() { cancel(errIdle) })
	return ctx, func() { timer.Reset(idleTimeout) }, func() { timer.Stop(); cancel(nil) }
}
