package ui

import (
	"bytes"
	"encoding/json"
	"fmt"
	"html/template"
	"io"
	"net/url"
	"strings"

	"itool/ops/config"
	"itool/ops/report"
	"itool/schemas"
	"itool/stages/evaluate/stats"
)

// pages are all templates. html/template escapes what comes from records, such as answers of a model.
var pages = template.Must(template.New("").Funcs(template.FuncMap{
	"plain": report.Plain, "words": words, "duration": report.Duration, "name": report.PolicyName, "short": shorten,
	"counts": report.Counts, "kinds": report.Kinds, "number": report.Number,
	"percent": func(i stats.Interval) string { return fmt.Sprintf("%.1f %%", 100*i.Mean) },
	"at":      func(i stats.Interval) string { return fmt.Sprintf("%.1f", 100*i.Mean) },
	"band":    func(i stats.Interval) string { return fmt.Sprintf("%.0f–%.0f", 100*i.Low, 100*i.High) },
	"pct":     func(x float64) string { return fmt.Sprintf("%.2f%%", x) },
	"of":      func(part, whole int) string { return fmt.Sprintf("%.2f%%", 100*float64(part)/float64(max(1, whole))) },
	"next":    func(i int) int { return i + 1 },
	"signed":  signed,
	"shown":   visible,
	"query":   query,
	"rate":    rate,
	"style":   func() template.CSS { return template.CSS(file("page.css") + file("uplot/uPlot.min.css")) },
	"script":  func() template.JS { return template.JS(file("uplot/uPlot.iife.min.js") + ";" + file("page.js")) },
}).ParseFS(web, "web/*.html"))

// file is one of our own files, which needs no escaping.
func file(name string) string {
	text, err := web.ReadFile("web/" + name)
	if err != nil {
		panic(err) // it is in the binary
	}
	return string(text)
}

// render writes a template.
func render(w io.Writer, name string, data any) error {
	if err := pages.ExecuteTemplate(w, name, data); err != nil {
		return fmt.Errorf("page %s: %w", name, err)
	}
	return nil
}

func toString(name string, data any) (string, error) {
	var b bytes.Buffer
	err := render(&b, name, data)
	return b.String(), err
}

// visible is a text as it is, line breaks included, without characters that change how others are shown.
func visible(s string) string {
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		lines[i] = report.Plain(line)
	}
	return strings.Join(lines, "\n")
}

// query writes names and values as the query of an address.
func query(pairs ...string) string {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		q.Set(pairs[i], pairs[i+1])
	}
	return q.Encode()
}

// words turns a key into words for people.
func words(key string) string { return strings.ReplaceAll(report.Plain(key), "_", " ") }

func shorten(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

// signed writes a change with its sign: +3, −3, 0.
func signed(n int) string {
	if n < 0 {
		return fmt.Sprintf("−%d", -n)
	}
	if n > 0 {
		return fmt.Sprintf("+%d", n)
	}
	return "0"
}

// rate writes items a second so that people can read it.
func rate(perSecond float64) string {
	switch {
	case perSecond <= 0:
		return ""
	case perSecond < 0.5:
		return fmt.Sprintf("%.1f/min", 60*perSecond)
	}
	return fmt.Sprintf("%.3g/s", perSecond)
}

// roundsOf is how many rounds a run's configuration asks for.
func roundsOf(settings string) int {
	cfg := config.Default()
	_ = json.Unmarshal([]byte(settings), &cfg) // it was checked when the run was published
	return min(cfg.Line.Rounds, 1000)
}

// rowsOf adds up the rows of a run's files.
func rowsOf(run schemas.Run) (n int) {
	var shards []schemas.Shard
	_ = json.Unmarshal([]byte(run.Dataset), &shards) // it is only shown
	for _, s := range shards {
		n += int(s.Rows)
	}
	return n
}
