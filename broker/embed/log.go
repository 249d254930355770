package embed

import (
	"fmt"
	"log/slog"
	"strings"
)

// serverLog passes the server's log messages on. A fatal message means that the server
// cannot start: the server's own logger would end the process, but here Start returns an
// error.
type serverLog struct {
	log   *slog.Logger
	fatal chan string // buffered: the first fatal message
}

func (l *serverLog) Noticef(format string, v ...any) { l.log.Debug(logLine(format, v)) }
func (l *serverLog) Errorf(format string, v ...any)  { l.log.Error(logLine(format, v)) }
func (l *serverLog) Debugf(string, ...any)           {}
func (l *serverLog) Tracef(string, ...any)           {}

func (l *serverLog) Warnf(format string, v ...any) {
	if line := logLine(format, v); mended(line) {
		l.log.Info(line)
	} else {
		l.log.Warn(line)
	}
}

// mended reports whether a warning is about an index of a stream that the server reads or writes again by itself.
// After a kill there always are some, though nothing is lost: the records themselves are written before they are
// confirmed.
func mended(line string) bool {
	for _, part := range []string{
		"] Stream state ", " state from index errored: ", " is outdated; attempting to recover ", "State took ",
		"Config took ",
	} {
		if strings.Contains(line, part) {
			return true
		}
	}
	return false
}

func (l *serverLog) Fatalf(format string, v ...any) {
	l.log.Error(logLine(format, v))
	select {
	case l.fatal <- fmt.Sprintf(format, v...):
	default:
	}
}

func logLine(format string, v []any) string { return "broker server: " + fmt.Sprintf(format, v...) }
