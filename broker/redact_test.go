package broker_test

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"itool/broker"
)

func TestRedact(t *testing.T) {
	for text, want := range map[string]string{
		"nats://t0ken@a:4222":                "nats://***@a:4222",
		"nats://u:p@ss@a, tls://u:t0ken@b":   "nats://***@a, tls://***@b",
		"nats://t0ken@a,nats://other@b:1":    "nats://***@a,nats://***@b:1",
		`parse "nats://u:p/w%@h": x@y is no`: `parse "nats://***@h": x@y is no`,
		"nats://a:4222, mail to me@home":     "nats://a:4222, mail to me@home",
	} {
		if got := broker.Redact(text); got != want {
			t.Errorf("%q: got %q, want %q", text, got, want)
		}
	}
}

// What logs in stands in no error and no log, whether one address is given or several.
func TestErrorsHideTheLogin(t *testing.T) {
	const secret = "hidden-t0ken"
	for _, url := range []string{
		"nats://" + secret + "@127.0.0.1:1",
		"nats://user:" + secret + "@127.0.0.1:1,nats://user:" + secret + "@127.0.0.1:2",
		secret + "@127.0.0.1:1",
		"nats://user:" + secret + "%@127.0.0.1:1",
		"nats://" + secret + "@",
		"nats://a:" + secret,
	} {
		var log bytes.Buffer
		c := broker.Config{URL: url, Timeout: time.Second, Log: slog.New(slog.NewTextHandler(&log, nil))}
		b, err := broker.Connect(t.Context(), c)
		if err == nil {
			b.Close()
			t.Fatalf("%s: connected", url)
		}
		if text := err.Error() + log.String(); strings.Contains(text, secret) {
			t.Errorf("%s: the secret is shown:\n%s", url, text)
		}
	}
}
