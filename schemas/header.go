package schemas

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

const (
	maxName = 128  // bytes of a run name, an item key or a schema
	maxText = 1024 // bytes of any other header value
)

// Header describes a batch, so that its body need not be opened.
type Header struct {
	Run         string // name of the run
	Round       int    // −1 is the base policy, 0 the warm-up's
	Key         string // item key; travels unchanged from task to result
	Seed        uint64 // of every random choice made for this item
	Policy      string // digest of the policy the item belongs to
	Config      string // digest of the run's resolved configuration
	Input       string // digest of what the result was made from
	Schema      string // record and version, such as "pair/v1"
	SHA256      string // of the body, 64 lower-case hex digits
	Rows        int    // rows in the body
	Worker      string // who wrote it, with version; for people
	Traceparent string // W3C trace context
}

// Map returns the header as message headers, all keys in lower case. Empty texts are left
// out. The numbers round, seed and rows are always written, because 0 has a meaning.
func (h Header) Map() map[string]string {
	m := make(map[string]string)
	for _, f := range h.fields() {
		if s := f.text(); s != "" {
			m[f.key] = s
		}
	}
	return m
}

// ParseHeader reads what Map wrote. It checks every value that is present strictly, and its
// errors name the key. A missing key is an empty value. Unknown keys are ignored, so that a
// newer writer can add some.
func ParseHeader(m map[string]string) (Header, error) {
	var h Header
	known := h.fields()
	for _, f := range known {
		if s, ok := m[f.key]; ok {
			if err := f.parse(s); err != nil {
				return Header{}, fmt.Errorf("schemas: header %s: %w", f.key, err)
			}
		}
	}
	// Message headers are case-sensitive. A client that writes Itool-Run would otherwise
	// lose its headers and see no error.
	for _, key := range slices.Sorted(maps.Keys(m)) {
		lower := strings.ToLower(key)
		if key != lower && strings.HasPrefix(lower, "itool-") {
			return Header{}, fmt.Errorf("schemas: header %.64q: must be written in lower case", key)
		}
	}
	return h, nil
}

// ValidName returns nil if s can be a run name or an item key: 1 to 128 bytes of A–Z, a–z,
// 0–9, _ and -. Such a name can be one token of a subject, one part of a storage key and
// one file name.
func ValidName(s string) error {
	if s == "" {
		return fmt.Errorf("empty name")
	}
	if len(s) > maxName {
		return fmt.Errorf("name of %d bytes, at most %d", len(s), maxName)
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '_', c == '-':
		default:
			return fmt.Errorf("name %q: byte %d: only A-Z a-z 0-9 _ - are allowed", s, i)
		}
	}
	return nil
}

// check refuses values that ParseHeader would refuse at the receiver.
func (h Header) check() error {
	for _, f := range h.fields() {
		if s := f.text(); s != "" {
			if err := f.parse(s); err != nil {
				return fmt.Errorf("header %s: %w", f.key, err)
			}
		}
	}
	return nil
}

// headerField connects one field of a Header with its key, for writing and for reading.
type headerField struct {
	key   string
	text  func() string
	parse func(string) error
}

func (h *Header) fields() []headerField {
	return []headerField{
		textField("itool-run", &h.Run, ValidName),
		intField("itool-round", &h.Round, -1),
		textField("itool-key", &h.Key, ValidName),
		seedField("itool-seed", &h.Seed),
		textField("itool-policy", &h.Policy, validText),
		textField("itool-config", &h.Config, validText),
		textField("itool-input", &h.Input, validText),
		textField("itool-schema", &h.Schema, validSchema),
		textField("itool-sha256", &h.SHA256, validDigest),
		intField("itool-rows", &h.Rows, 0),
		textField("itool-worker", &h.Worker, validText),
		textField("traceparent", &h.Traceparent, validText),
	}
}

func textField(key string, p *string, valid func(string) error) headerField {
	return headerField{key, func() string { return *p }, func(s string) error {
		if err := valid(s); err != nil {
			return err
		}
		*p = s
		return nil
	}}
}

func intField(key string, p *int, low int) headerField {
	return headerField{key, func() string { return strconv.Itoa(*p) }, func(s string) error {
		n, err := strconv.Atoi(s)
		// The second test allows one spelling per number: no +1, no 01.
		if err != nil || strconv.Itoa(n) != s || n < low || n > math.MaxInt32 {
			return fmt.Errorf("%.64q is not a number from %d to %d", s, low, math.MaxInt32)
		}
		*p = n
		return nil
	}}
}

func seedField(key string, p *uint64) headerField {
	return headerField{key, func() string { return strconv.FormatUint(*p, 10) }, func(s string) error {
		n, err := strconv.ParseUint(s, 10, 64)
		if err != nil || strconv.FormatUint(n, 10) != s {
			return fmt.Errorf("%.64q is not a number of 64 bits without sign", s)
		}
		*p = n
		return nil
	}}
}

func validSchema(s string) error {
	_, _, err := splitSchema(s)
	return err
}

func validDigest(s string) error {
	if len(s) != 64 || strings.Trim(s, "0123456789abcdef") != "" {
		return fmt.Errorf("%.80q is not a SHA-256 digest of 64 lower-case hex digits", s)
	}
	return nil
}

// validText refuses characters that would end a header line, such as line breaks.
func validText(s string) error {
	if s == "" {
		return fmt.Errorf("empty; leave the key out")
	}
	if len(s) > maxText {
		return fmt.Errorf("%d bytes, at most %d", len(s), maxText)
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' {
			return fmt.Errorf("byte %d is not printable ASCII", i)
		}
	}
	return nil
}
