package embed

import (
	"fmt"
	"log/slog"
)

// serverLog passes the server's log messages on. A fatal message means that the server
// cannot start: the server's own logger would end the process, but here Start returns an
// error.
type serverLog struct {
	log   *slog.Logger
	fatal chan string // buffered: the first fatal message
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
