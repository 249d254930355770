package jinja

import "strings"

var htmlEscapes = strings.NewReplacer("&", "&amp;", ">", "&gt;", "<", "&lt;", "'", "&#39;", `"`, "&#34;")

// escapeHTML is markupsafe's escape.
func escapeHTML(s string) string { return htmlEscapes.Replace(s) }

func escapeFilter(x *exec, of any, a args) any {
	bind("escape", a)
	if isMarkup(of) {
		return of
	}
	return markup(x.made(escapeHTML(str(x, of))))
}

func forceEscape(x *exec, of any, a args) any {
	bind("forceescape", a)
	return markup(x.made(escapeHTML(str(x, of))))
}

func safe(x *exec, of any, a args) any {
	bind("safe", a)
	return markup(str(x, of))
}

func xmlAttributes(x *exec, of any, a args) any {
	b := bind("xmlattr", a, "autospace=")
	d, ok := of.(*Dict)
	if !ok {
		raise("AttributeError", "'%s' object has no attribute 'items'", typeName(of))
	}
	var parts []string
	for i, k := range d.keys {
		v := d.values[i]
		if _, undef := v.(*undefined); undef || v == nil {
			continue
		}
		key, ok := text(k)
		if !ok {
			typeError("expected string or bytes-like object, got '%s'", typeName(k))
		}
		if strings.ContainsAny(key, " \t\n\r\f\v/>=") {
			valueError("Invalid character in attribute name: %s", repr(key))
		}
		value := str(x, v)
		if !isMarkup(v) {
			value = escapeHTML(value)
		}
		if !isMarkup(k) {
			key = escapeHTML(key)
		}
		parts = append(parts, key+`="`+value+`"`)
	}
	s := strings.Join(parts, " ")
	if s != "" && truth(or(b[0], true)) {
		s = " " + s
	}
	return asMarkupIf(x.autoescape, x.made(s))
}

func urlEncode(x *exec, of any, a args) any {
	bind("urlencode", a)
	if isText(of) || !isIterable(of) {
		return x.made(quoteURL(str(x, of), "/"))
	}
	if d, ok := of.(*Dict); ok {
		of = &view{d, "dict_items"}
	}
	var parts []string
	for _, pair := range list(x, of) {
		kv := list(x, pair)
		if len(kv) != 2 {
			valueError("not enough values to unpack (expected 2, got %d)", len(kv))
		}
		parts = append(parts, quoteQuery(str(x, kv[0]))+"="+quoteQuery(str(x, kv[1])))
	}
	return x.made(strings.Join(parts, "&"))
}

// quoteURL is urllib's quote.
func quoteURL(s, safe string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if isDecimal(c) || c|0x20 >= 'a' && c|0x20 <= 'z' || strings.IndexByte("_.-~"+safe, c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.WriteString("%" + string(hex[c>>4]) + string(hex[c&15]))
	}
	return b.String()
}

func quoteQuery(s string) string { return strings.ReplaceAll(quoteURL(s, ""), "%20", "+") }
