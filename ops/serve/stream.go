package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"itool/stages/policy"
)

// writeTimeout is how long a client may take to read an event.
const writeTimeout = 30 * time.Second

// errGone says that the client does not read any more. It is not logged.
var errGone = fmt.Errorf("the client has gone: %w", context.Canceled)

// events writes server-sent events. Choices may send concurrently. The header is sent with
// the first event, so that an earlier error can still have an HTTP status.
type events struct {
	mu      sync.Mutex
	w       http.ResponseWriter
	started bool
}

func (e *events) send(v any) error {
	line, err := json.Marshal(v)
	if err != nil {
		return err
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if !e.started {
		e.started = true
		e.w.Header().Set("Content-Type", "text/event-stream")
		e.w.Header().Set("Cache-Control", "no-cache")
	}
	c := http.NewResponseController(e.w)
	if err := c.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := fmt.Fprintf(e.w, "data: %s\n\n", line); err != nil {
		return errGone
	}
	if err := c.Flush(); err != nil {
		return errGone
	}
	return nil
}

// end closes the stream, with an error if there is one.
func (s *Server) end(e *events, err error) {
	if !e.started {
		if err == nil {
			err = errors.New("nothing was sent")
		}
		s.fail(e.w, err)
		return
	}
	if errors.Is(err, context.Canceled) {
		return // the client has gone
	}
	if err != nil {
		_ = e.send(failure(s.forClient(err)))
	}
	_, _ = fmt.Fprint(e.w, "data: [DONE]\n\n")
}

// logprob is one token as /v1/chat/completions reports it.
type logprob struct {
	Token   string    `json:"token"`
	LogProb float64   `json:"logprob"`
	Bytes   []int     `json:"bytes"`
	Top     []logprob `json:"top_logprobs,omitempty"`
}

func (s *Server) logprob(t policy.Token) logprob {
	l := s.alternative(policy.Alternative{ID: t.ID, LogProb: t.LogProb})
	for _, a := range t.Top {
		l.Top = append(l.Top, s.alternative(a))
	}
	return l
}

func (s *Server) alternative(a policy.Alternative) logprob {
	raw := s.policy.TokenBytes(a.ID)
	l := logprob{Token: s.token(a.ID), LogProb: a.LogProb, Bytes: make([]int, len(raw))}
	for i, b := range raw {
		l.Bytes[i] = int(b)
	}
	return l
}

// token is the text of one token; incomplete characters show as U+FFFD.
func (s *Server) token(id int32) string {
	x := text{pending: string(s.policy.TokenBytes(id))}
	return x.rest()
}
