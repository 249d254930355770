package ui

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"
)

// aliveEvery is how often a quiet stream says that it is alive: proxies close silent connections.
const aliveEvery = 20 * time.Second

// sendWithin is how long a reader may take for what is sent at once: one that stops reading is let go.
const sendWithin = 30 * time.Second

// events sends the panels of a run as they change, each as one event: {"id": panel, "html": what it shows}.
func (s *Server) events(w http.ResponseWriter, r *http.Request) {
	name, err := runName(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	out := http.NewResponseController(w)
	v, leave := s.hub.join(name)
	defer leave()
	alive := time.NewTicker(aliveEvery)
	defer alive.Stop()
	for {
		_ = out.SetWriteDeadline(time.Time{}) // the server's limit is for pages; a test's recorder has none
		select {
		case <-r.Context().Done():
			return
		case <-s.hub.ctx.Done():
			return
		case <-alive.C:
			_ = out.SetWriteDeadline(time.Now().Add(sendWithin))
			if _, err := fmt.Fprint(w, ": alive\n\n"); err != nil {
				return
			}
		case <-v.wake:
			panels, over := v.take()
			_ = out.SetWriteDeadline(time.Now().Add(sendWithin))
			if err := sendPanels(w, panels); err != nil {
				return
			}
			if over {
				fmt.Fprint(w, "event: over\ndata: {}\n\n")
				_ = out.Flush()
				return
			}
		}
		if out.Flush() != nil {
			return
		}
	}
}

func sendPanels(w http.ResponseWriter, panels map[string]string) error {
	for _, id := range slices.Sorted(maps.Keys(panels)) {
		text, err := json.Marshal(map[string]string{"id": id, "html": panels[id]})
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "event: panel\ndata: %s\n\n", text); err != nil {
			return err
		}
	}
	return nil
}
