package apibank

import (
	"errors"
	"strings"
	"time"

	"itool/schemas/toolcall/bfcl/multiturn/python"
)

// Formats of times.
const (
	second = "%Y-%m-%d %H:%M:%S"
	day    = "%Y-%m-%d"
	noYear = "%m-%d"
)

func strip(s string) string { return strings.TrimFunc(s, python.IsSpace) }

func stripped(s string) (string, error) { return strip(s), nil }

func lower(s string) (string, error) { return strings.ToLower(strip(s)), nil }

func upper(s string) (string, error) { return strip(strings.ToUpper(s)), nil }

func tight(s string) (string, error) { return strings.ReplaceAll(s, " ", ""), nil }

var errSymptom = errors.New("the symptom is empty")

func symptom(s string) (string, error) {
	if s = strings.ToLower(strip(s)); s == "" {
		return "", errSymptom
	}
	return s, nil
}

// padded fills up the year of a date to four digits.
func padded(s string) string {
	s = strip(s)
	year, rest, _ := strings.Cut(s, "-")
	if strings.Count(rest, "-") != 1 || len(year) >= 4 {
		return s
	}
	sign := ""
	if strings.HasPrefix(year, "+") {
		sign, year = "+", year[1:]
	}
	return sign + strings.Repeat("0", 4-len(sign)-len(year)) + year + "-" + rest
}

// moment reads a time, of which the year may have fewer digits.
func moment(s string) (string, error) { return formatted(padded(s), second, "2006-01-02 15:04:05") }

func date(s string) (string, error) { return formatted(padded(s), day, "2006-01-02") }

// anniversary is the day of a date within its year.
func anniversary(s string) (string, error) {
	if text, err := formatted(padded(s), day, "01-02"); err == nil {
		return text, nil
	}
	return formatted(padded(s), noYear, "01-02")
}

func formatted(s, format, layout string) (string, error) {
	t, err := parseTime(s, format)
	if err != nil {
		return "", err
	}
	return t.Format(layout), nil
}

// parseTime is datetime.strptime.
func parseTime(s, format string) (time.Time, error) { return python.Time(s, format) }
