package jinja

import (
	"strings"
)

func split(x *exec, s string, a []any) any { return splitArgs(x, s, a, false) }

func rsplit(x *exec, s string, a []any) any { return splitArgs(x, s, a, true) }

func splitArgs(x *exec, s string, a []any, right bool) any {
	parts := 0
	if sep, ok := text(or(a[0], nil)); ok && sep != "" {
		parts = strings.Count(s, sep)
	} else {
		parts = countFunc(s, isSpace)
	}
	x.work(len(s) / 8)
	x.spend(len(s) + 48*parts)
	return &List{texts(splitText(s, or(a[0], nil), count(or(a[1], -1)), right))}
}

func texts(parts []string) []any {
	out := make([]any, len(parts))
	for i, p := range parts {
		out[i] = p
	}
	return out
}

// splitText is split and, with right, rsplit; sep None splits at white space. most < 0: everywhere.
func splitText(s string, sep any, most int, right bool) []string {
	if sep == nil {
		return splitSpace(s, most, right)
	}
	by := argText("split", sep)
	if by == "" {
		valueError("empty separator")
	}
	if !right {
		if most < 0 {
			return strings.Split(s, by)
		}
		return strings.SplitN(s, by, max(most, most+1))
	}
	var parts []string
	for most != 0 {
		i := strings.LastIndex(s, by)
		if i < 0 {
			break
		}
		parts = append(parts, s[i+len(by):])
		s = s[:i]
		most--
	}
	return reversed(append(parts, s))
}

func reversed(parts []string) []string {
	for i, j := 0, len(parts)-1; i < j; i, j = i+1, j-1 {
		parts[i], parts[j] = parts[j], parts[i]
	}
	return parts
}

func splitSpace(s string, most int, right bool) []string {
	var parts []string
	for {
		if right {
			s = strings.TrimRightFunc(s, isSpace)
		} else {
			s = strings.TrimLeftFunc(s, isSpace)
		}
		if s == "" {
			break
		}
		i := strings.IndexFunc(s, isSpace)
		if right {
			i = strings.LastIndexFunc(s, isSpace)
		}
		if i < 0 || most == 0 {
			parts = append(parts, s)
			break
		}
		if right {
			_, size := decode(s[i:])
			parts, s = append(parts, s[i+size:]), s[:i]
		} else {
			parts, s = append(parts, s[:i]), s[i:]
		}
		most--
	}
	if right {
		return reversed(parts)
	}
	return parts
}

// splitLines is splitlines: at Python's line boundaries, which are more than "\n".
func splitLines(s string, keep bool) (lines []string) {
	for s != "" {
		i := strings.IndexFunc(s, isLineEnd)
		if i < 0 {
			return append(lines, s)
		}
		_, size := decode(s[i:])
		if s[i] == '\r' && i+1 < len(s) && s[i+1] == '\n' {
			size = 2
		}
		end := i
		if keep {
			end += size
		}
		lines, s = append(lines, s[:end]), s[i+size:]
	}
	return lines
}

// partition splits at the first, or with last at the last, sep into three.
func partition(last bool) strMethod {
	return strMethod{[]string{"sep/"}, func(x *exec, s string, a []any) any {
		sep := argText("partition", a[0])
		if sep == "" {
			valueError("empty separator")
		}
		x.spend(len(s))
		i := strings.Index(s, sep)
		if last {
			i = strings.LastIndex(s, sep)
		}
		switch {
		case i >= 0:
			return &Tuple{Items: []any{s[:i], sep, s[i+len(sep):]}}
		case last:
			return &Tuple{Items: []any{"", "", s}}
		}
		return &Tuple{Items: []any{s, "", ""}}
	}}
}
