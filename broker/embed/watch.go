package embed

import (
	"fmt"
	"sync"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// A stream that once could not be written stays so until the server starts again: publishers then get no
// answer, while reads go on, so that nothing says what is wrong. The watch notices it, says so, and starts
// the server again when there is room. Connected clients connect again by themselves.

// Pauses between two restarts: a disk may have room and still refuse writes.
const (
	restartPause    = 2 * time.Second
	maxRestartPause = time.Minute
)

// Trouble says why the server cannot write now, such as "disk: no space left …"; "" if it can.
func (s *Server) Trouble() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.trouble
}

func (s *Server) startWatch() {
	done, ended := make(chan struct{}), make(chan struct{})
	s.stop = sync.OnceFunc(func() { close(done); <-ended })
	go func() { defer close(ended); s.watch(done) }()
}

// watch looks after the server until done is closed.
func (s *Server) watch(done <-chan struct{}) {
	tick := time.NewTicker(s.config.Watch)
	defer tick.Stop()
	pause, next := restartPause, time.Time{} // next: not before
	var last suspicion
	for {
		select {
		case <-done:
			return
		case <-tick.C:
		}
		if !s.look(&last) {
			continue
		}
		if now := time.Now(); now.After(next) && roomFor(s.config.Dir) {
			if now.Sub(next) > maxRestartPause {
				pause = restartPause
			}
			s.restart()
			next, pause = time.Now().Add(pause), min(2*pause, maxRestartPause)
		}
	}
}

// certain is how long an error must stay the same to count. A stream that is just being made or removed has errors,
// too: its folder is there and it is not, or it cannot write into a folder that is gone. On a machine with twenty times
// the load that it can bear, a run lost its broker for a moment when this was a second.
const certain = 5 * time.Second

// suspicion is an error of the server, and since when it has been the same.
type suspicion struct {
	text  string
	since time.Time
}

// look reports whether the server cannot write, and remembers why. last is what the look before it saw.
func (s *Server) look(last *suspicion) (broken bool) {
	h := s.running().Healthz(&server.HealthzOptions{})
	if h.Error != last.text {
		*last = suspicion{h.Error, time.Now()}
	}
	why := ""
	if h.Error != "" && time.Since(last.since) >= certain {
		why = h.Error
		if free, _, ok := disk(s.config.Dir); ok {
			why = fmt.Sprintf("%s; %d MiB are free in %s", why, free>>20, s.config.Dir)
		}
		why = "disk: the broker cannot write: " + why
	}
	s.mu.Lock()
	news := why != "" && s.trouble == ""
	s.trouble = why
	s.mu.Unlock()
	if news {
		s.config.Log.Error("broker server: it goes on by itself when there is room", "waiting", why)
	}
	return why != ""
}

// restart starts the server again. If it does not come up, the next look finds it broken, too.
func (s *Server) restart() {
	shutdown(s.running())
	again, err := start(s.config)
	if err != nil {
		s.config.Log.Error("broker server: it cannot be started again yet", "err", err)
		return
	}
	s.mu.Lock()
	s.s, s.trouble = again, ""
	s.mu.Unlock()
	s.config.Log.Warn("broker server: it was started again, since it can write now")
}

// roomFor reports whether the disk of dir has room again: a hundredth of it, 256 MiB at most. Where that
// cannot be known, it has.
func roomFor(dir string) bool {
	free, size, ok := disk(dir)
	return !ok || free >= min(size/100, 256<<20) && free > 0
}
