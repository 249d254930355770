package ui

import (
	"errors"
	"fmt"
	"net/http"

	"itool/ops/line"
)

// errReadOnly refuses a change.
var errReadOnly = errors.New("this page is read-only: start it with --token, or use itool failed RUN --requeue")

// requeue lets workers try again what a run gave up, and says how many items that are.
func (s *Server) requeue(w http.ResponseWriter, r *http.Request) error {
	if !s.o.MayChange || s.o.Key == "" {
		return errReadOnly
	}
	name, err := runName(r)
	if err != nil {
		return err
	}
	c, release, err := s.o.Source.Open(r.Context(), name)
	if err != nil {
		return err
	}
	defer release()
	done, err := line.Rows(nil).Requeue(r.Context(), c, name)
	var over *line.OverError
	if errors.As(err, &over) {
		w.WriteHeader(http.StatusConflict)
		_, err = fmt.Fprintf(w, "the run is over (%s): itool fork %s begins another one from one of its rounds",
			over.Status, name)
		return err
	}
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%d items are tried again; %d came too late, since their round was closed without them",
		done.Items, len(done.Late))
	return err
}
