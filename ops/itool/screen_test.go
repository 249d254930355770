package main

import (
	"bytes"
	"testing"
)

// TestScreen: logs go above the status lines, which are drawn again.
func TestScreen(t *testing.T) {
	var out bytes.Buffer
	s := newScreen(&out, true)
	s.show([]string{"one", "two"})
	if _, err := s.Write([]byte("log\n")); err != nil {
		t.Fatal(err)
	}
	s.show(nil)
	if want := "one\ntwo\n\x1b[2A\x1b[Jlog\none\ntwo\n\x1b[2A\x1b[J"; out.String() != want {
		t.Errorf("got %q\nwant %q", out.String(), want)
	}
}
