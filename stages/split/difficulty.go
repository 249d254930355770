package split

import (
	"bytes"
	"encoding/json"
	"unicode/utf8"

	"itool/schemas"
)

// Grade returns the difficulty of an example, a value of schemas.Example.Difficulty.
// It takes a, the number of candidate tools, b, the characters of the serialised
// tool set, and c, the calls in the reference. The paper's three rules overlap; this
// order makes them a partition. (warmup can rank by a, b, c instead.)
func Grade(a, b, c int) string {
	switch {
	case a >= 4 || b > 2000 || c >= 4:
		return schemas.DifficultyHard
	case a <= 1 && b < 1000 && c <= 1:
		return schemas.DifficultyEasy
	}
	return schemas.DifficultyMedium
}

// serialise writes a tool set as Python's json.dumps does, a blank behind every
// comma and colon, so that b does not depend on how a file is laid out.
func serialise(tools json.RawMessage) (text string, characters int, err error) {
	var compact bytes.Buffer
	if err := json.Compact(&compact, tools); err != nil {
		return "", 0, err
	}
	out := make([]byte, 0, compact.Len()+compact.Len()/8)
	quoted, escaped := false, false
	for _, b := range compact.Bytes() {
		out = append(out, b)
		switch {
		case escaped:
			escaped = false
		case quoted:
			escaped, quoted = b == '\\', b != '"'
		case b == '"':
			quoted = true
		case b == ',' || b == ':':
			out = append(out, ' ')
		}
	}
	return string(out), utf8.RuneCount(out), nil
}
