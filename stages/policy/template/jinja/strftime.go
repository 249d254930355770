package jinja

import (
	"fmt"
	"strings"
	"time"
	"unicode/utf8"
)

// strftime is C's, in the C locale.
func strftime(t time.Time, layout string) string {
	var b strings.Builder
	for i := 0; i < len(layout); i++ {
		if layout[i] != '%' || i+1 == len(layout) {
			b.WriteByte(layout[i])
			continue
		}
		i++
		flag := byte(0)
		if strings.IndexByte("-_0^#", layout[i]) >= 0 && i+1 < len(layout) {
			flag = layout[i]
			i++
		}
		b.WriteString(directive(t, layout[i], flag))
	}
	return b.String()
}

// directive writes one directive; flag is glibc's: "-" no padding, "_" spaces, "0" zeros, "^" upper case, "#"
// the other case.
func directive(t time.Time, c, flag byte) string {
	composed := map[byte]string{
		'c': "%a %b %e %H:%M:%S %Y", 'x': "%m/%d/%y", 'X': "%H:%M:%S", 'D': "%m/%d/%y", 'F': "%Y-%m-%d",
		'T': "%H:%M:%S", 'R': "%H:%M", 'r': "%I:%M:%S %p",
	}
	if layout, ok := composed[c]; ok && flag != '^' && flag != '#' {
		return strftime(t, layout)
	}
	words := map[byte]string{
		'a': t.Weekday().String()[:3], 'A': t.Weekday().String(), 'b': t.Month().String()[:3],
		'h': t.Month().String()[:3], 'B': t.Month().String(), 'p': t.Format("PM"), 'P': t.Format("pm"),
		'z': "", 'Z': "", // of a time without a zone, as transformers' is
		'%': "%", 'n': "\n", 't': "\t", 'f': fmt.Sprintf("%06d", t.Nanosecond()/1000),
	}
	if word, ok := words[c]; ok && (flag == 0 || c != 'f' && c != '%') { // %f is Python's own and takes no flag
		switch {
		case flag == '#' && c == 'p' || c == 'P':
			return strings.ToLower(word)
		case flag == '^' || flag == '#':
			return strings.ToUpper(word)
		}
		return word
	}
	value, width, ok := dateNumber(t, c)
	switch {
	case !ok:
		return unknownDirective(c, flag, composed[c] != "")
	case flag == '-' || width == 0:
		return fmt.Sprint(value)
	case flag == '_' || flag != '0' && strings.IndexByte("ekl", c) >= 0:
		return fmt.Sprintf("%*d", width, value)
	}
	return fmt.Sprintf("%0*d", width, value)
}

// unknownDirective writes what glibc does not know: as it stands. Refused are directives that need a zone, begin a
// longer one, or are composed of others and have a flag for the case.
func unknownDirective(c, flag byte, composed bool) string {
	switch {
	case composed, strings.IndexByte("sEO:+0123456789-_^#%\x00", c) >= 0, flag == '^' && c >= utf8.RuneSelf:
		unsupported("the directive %%%c of strftime_now", c)
	case flag == '^':
		return "%^" + strings.ToUpper(string(rune(c)))
	case flag != 0:
		return string([]byte{'%', flag, c})
	}
	return string([]byte{'%', c})
}

// dateNumber is the value of a directive that writes a number, and the width to which it is padded.
func dateNumber(t time.Time, c byte) (value, width int, ok bool) {
	year, week := t.ISOWeek()
	weekday := int(t.Weekday())
	hour := (t.Hour()+11)%12 + 1
	two := map[byte]int{
		'd': t.Day(), 'e': t.Day(), 'm': int(t.Month()), 'y': t.Year() % 100, 'C': t.Year() / 100, 'g': year % 100,
		'H': t.Hour(), 'k': t.Hour(), 'I': hour, 'l': hour, 'M': t.Minute(), 'S': t.Second(),
		'V': week, 'U': (t.YearDay() + 6 - weekday) / 7, 'W': (t.YearDay() + 6 - (weekday+6)%7) / 7,
	}
	if value, ok := two[c]; ok {
		return value, 2, true
	}
	plain := map[byte]int{'Y': t.Year(), 'G': year, 'w': weekday, 'u': (weekday+6)%7 + 1}
	if value, ok := plain[c]; ok {
		return value, 0, true
	}
	return t.YearDay(), 3, c == 'j'
}
