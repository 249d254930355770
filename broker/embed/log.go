package embed

import (
	"fmt"
	"log/slog"
	"sync"
)

// serverLog passes on what the server says and keeps the last complaint, since the
// server reports a failed start in no other way.
type serverLog struct {
	log *slog.Logger

	mu        sync.Mutex
	complaint string
}

func (l *serverLog) Noticef(format string, v ...any) {
	l.log.Debug("broker server: " + fmt.Sprintf(format, v...))
}

func (l *serverLog) Warnf(format string, v ...any) {
	l.log.Warn("broker server: " + fmt.Sprintf(format, v...))
}

func (l *serverLog) Errorf(format string, v ...any) { l.complain(fmt.Sprintf(format, v...)) }

// Fatalf of the server's own logger ends the process; here Start returns an error.
func (l *serverLog) Fatalf(format string, v ...any) { l.complain(fmt.Sprintf(format, v...)) }

func (l *serverLog) Debugf(string, ...any) {}
func (l *serverLog) Tracef(string, ...any) {}

func (l *serverLog) complain(text string) {
	l.mu.Lock()
	l.complaint = text
	l.mu.Unlock()
	l.log.Error("broker server: " + text)
}

func (l *serverLog) last() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.complaint == "" {
		return "no reason given within a minute"
	}
	return l.complaint
}
