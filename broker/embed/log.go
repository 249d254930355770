package embed

import (
	"fmt"
	"log/slog"
)

// serverLog passes on what the server says. A fatal line means that it cannot start;
// its own logger would end the process, here Start returns an error.
type serverLog struct {
	log   *slog.Logger
	fatal chan string // holds the first
}

func (l *serverLog) Noticef(format string, v ...any) { l.log.Debug(logLine(format, v)) }
func (l *serverLog) Warnf(format string, v ...any)   { l.log.Warn(logLine(format, v)) }
func (l *serverLog) Errorf(format string, v ...any)  { l.log.Error(logLine(format, v)) }
func (l *serverLog) Debugf(string, ...any)           {}
func (l *serverLog) Tracef(string, ...any)           {}

func (l *serverLog) Fatalf(format string, v ...any) {
	l.log.Error(logLine(format, v))
	select {
	case l.fatal <- fmt.Sprintf(format, v...):
	default:
	}
}

func logLine(format string, v []any) string { return "broker server: " + fmt.Sprintf(format, v...) }
