package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"
)

// errGone says that the client does not read any more. It is not logged.
var errGone = fmt.Errorf("the client has gone: %w", context.Canceled)

// events writes server-sent events. Choices may send concurrently. The header is sent with
// the first event, so that an earlier error can still have an HTTP status.
type events struct {
	mu      sync.Mutex
	x       *exchange
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
		e.x.Header().Set("Content-Type", "text/event-stream")
		e.x.Header().Set("Cache-Control", "no-cache")
	}
	c := http.NewResponseController(e.x)
	if err := c.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	if _, err := fmt.Fprintf(e.x, "data: %s\n\n", line); err != nil {
		return errGone
	}
	if err := c.Flush(); err != nil {
		return errGone
	}
	return nil
}

// end closes the stream, with an error if there is one. Before the first event the error has an HTTP status: the
// caller answers with it.
func (s *Server) end(e *events, err error) error {
	if !e.started {
		if err == nil {
			err = errors.New("nothing was sent")
		}
		return err
	}
	if errors.Is(err, context.Canceled) {
		e.x.gone()
		return nil
	}
	if err != nil {
		failed := s.forClient(err)
		e.x.code = failed.code
		_ = e.send(failed.body())
	}
	_, _ = fmt.Fprint(e.x, "data: [DONE]\n\n")
	return nil
}
