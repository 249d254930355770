package python

import (
	"regexp"
	"strings"
	"time"
)

// directives are the parts of a format that Time knows, as Python's _strptime reads them.
var directives = map[byte]string{
	'Y': `(?P<Y>[0-9]{4})`,
	'm': `(?P<m>1[0-2]|0[1-9]|[1-9])`,
	'd': `(?P<d>3[01]|[12][0-9]|0[1-9]|[1-9]| [1-9])`,
	'H': `(?P<H>2[0-3]|[01][0-9]|[0-9])`,
	'I': `(?P<I>1[0-2]|0[1-9]|[1-9])`,
	'M': `(?P<M>[0-5][0-9]|[0-9])`,
	'S': `(?P<S>6[01]|[0-5][0-9]|[0-9])`,
	'p': `(?P<p>(?i:am|pm))`,
}

// Time is datetime.strptime(v, format) for formats of %Y, %m, %d, %H, %I, %M, %S and %p. Parts
// that the format does not have are those of 1 January 1900.
func Time(v Value, format string) (time.Time, error) {
	text, ok := v.(string)
	if !ok {
		return time.Time{}, &Error{"TypeError", "strptime() argument 1 must be str, not " + TypeName(v)}
	}
	var pattern strings.Builder
	pattern.WriteByte('^')
	for i := 0; i < len(format); i++ {
		switch {
		case format[i] == '%' && i+1 < len(format):
			i++
			pattern.WriteString(directives[format[i]])
		case format[i] == ' ':
			pattern.WriteString(`\s+`)
		default:
			pattern.WriteString(regexp.QuoteMeta(format[i : i+1]))
		}
	}
	re := regexp.MustCompile(pattern.String())
	m := re.FindStringSubmatch(text)
	if m == nil {
		quoted, _ := Repr(text)
		of, _ := Repr(format)
		return time.Time{}, &Error{"ValueError", "time data " + quoted + " does not match format " + of}
	}
	if rest := text[len(m[0]):]; rest != "" {
		return time.Time{}, &Error{"ValueError", "unconverted data remains: " + rest}
	}
	parts := map[string]int{"Y": 1900, "m": 1, "d": 1}
	for i, name := range re.SubexpNames() {
		if name != "" && name != "p" {
			parts[name] = decimal(m[i])
		}
	}
	if half := re.SubexpIndex("p"); half >= 0 {
		parts["H"] = parts["I"] % 12
		if strings.EqualFold(m[half], "pm") {
			parts["H"] += 12
		}
	}
	return moment(parts)
}

func decimal(s string) (n int) {
	for _, r := range strings.TrimSpace(s) {
		n = 10*n + int(r-'0')
	}
	return n
}

func moment(p map[string]int) (time.Time, error) {
	if p["Y"] == 0 {
		return time.Time{}, &Error{"ValueError", "year 0 is out of range"}
	}
	t := time.Date(p["Y"], time.Month(p["m"]), p["d"], p["H"], p["M"], p["S"], 0, time.UTC)
	if t.Day() != p["d"] && p["S"] < 60 {
		return time.Time{}, &Error{"ValueError", "day is out of range for month"}
	}
	return t, nil
}
