package ui_test

import (
	"log/slog"
	"net/http"

	"itool/ops/courier"
	"itool/ops/ui"
)

// The page of one run, for visitors who know the key. Package site opens the broker and the store.
func Example() {
	serve := func(c *courier.Courier, key string) error {
		s := ui.New(ui.Options{Source: ui.Of(c), First: "demo", Key: key, Log: slog.Default()})
		defer s.Close()
		return http.ListenAndServe("127.0.0.1:8080", s)
	}
	_ = serve
}
