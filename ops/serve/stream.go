package serve

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"

	"itool/stages/policy"
)

// events writes server-sent events; choices may send at once. The header goes out
// with the first one, so that what fails before is still an error of HTTP.
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
	if _, err := fmt.Fprintf(e.w, "data: %s\n\n", line); err != nil {
		return err
	}
	return http.NewResponseController(e.w).Flush()
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
	var b *badRequest
	switch {
	case err == nil:
	case errors.As(err, &b):
		_ = e.send(failure(b))
	default:
		s.Log.Error("stream failed", "error", err)
		_ = e.send(failure(&badRequest{http.StatusInternalServerError, "", "the engine failed: see the server's log"}))
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

// token is the text of one token; bytes that are half a character show as U+FFFD.
func (s *Server) token(id int32) string {
	x := text{pending: string(s.policy.TokenBytes(id))}
	return x.rest()
}
