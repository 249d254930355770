package main

import (
	"io"
	"slices"
	"strings"

	"itool/broker"
)

// secrets are the values that this process was given to log in with: in the variables of the environment
// that are named like keys, and in addresses on the command line and in the environment. Shorter ones than
// four characters are left out: they would be found in ordinary text.
func secrets(args, env []string) (values []string) {
	add := func(value string) {
		if len(value) >= 4 && !slices.Contains(values, value) {
			values = append(values, value)
		}
	}
	texts := slices.Clone(args)
	for _, pair := range env {
		name, value, _ := strings.Cut(pair, "=")
		if !strings.HasPrefix(name, "ITOOL_") {
			continue
		}
		texts = append(texts, value)
		for _, kind := range []string{"KEY", "SECRET", "TOKEN", "PASSWORD"} {
			if strings.Contains(name, kind) {
				add(value)
			}
		}
	}
	for _, text := range texts {
		for part := range strings.SplitSeq(text, ",") {
			_, rest, found := strings.Cut(part, "://")
			at := strings.LastIndex(rest, "@")
			if !found || at < 0 {
				continue
			}
			add(rest[:at])
			name, password, both := strings.Cut(rest[:at], ":")
			if both {
				add(password)
			} else {
				add(name)
			}
		}
	}
	// The longest first, so that no rest of one stays.
	slices.SortFunc(values, func(x, y string) int { return len(y) - len(x) })
	return values
}

// hide returns a writer that shows none of the secrets. All output of the program goes through one: an
// error may quote what it could not read.
func hide(w io.Writer, secrets []string) io.Writer {
	var pairs []string
	for _, s := range secrets {
		pairs = append(pairs, s, "***")
	}
	return &hider{w, strings.NewReplacer(pairs...).Replace}
}

// hideLogins also hides who logs in in every address, such as one that another process has written down.
// It is for messages: the text of a dataset may hold such addresses, and is shown as it is.
func hideLogins(w io.Writer, secrets []string) io.Writer {
	return hide(&hider{w, broker.Redact}, secrets)
}

type hider struct {
	w       io.Writer
	replace func(string) string
}

func (h *hider) Write(p []byte) (int, error) {
	if _, err := io.WriteString(h.w, h.replace(string(p))); err != nil {
		return 0, err
	}
	return len(p), nil
}
