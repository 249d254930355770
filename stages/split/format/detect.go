package format

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Detect tells the format from a file's first bytes, 64 KiB or the whole file.
func Detect(name string, head []byte) (Format, error) { return Options{}.Detect(name, head) }

// Detect does the same for a file with other names of columns.
func (o Options) Detect(name string, head []byte) (Format, error) {
	if err := refuseBinary(head); err != nil {
		return "", err
	}
	head, array := unwrap(head)
	if len(head) == 0 {
		return "", ErrEmpty
	}
	if head[0] != '{' {
		if array {
			return "", fmt.Errorf("the first row begins with %q: rows are JSON objects", head[0])
		}
		return "", fmt.Errorf("it begins with %q: datasets are JSON (an array of objects) or JSON lines "+
			"(one object per line)", head[0])
	}
	return o.detectRow(head)
}

func detectRow(head []byte) (Format, error) { return Options{}.detectRow(head) }

// detectRow tells the format from the beginning of a row, a JSON object.
func (o Options) detectRow(head []byte) (Format, error) {
	keys := topKeys(head)
	for i := range keys {
		keys[i] = o.ours("row", keys[i])
	}
	if f := layoutByKeys(keys, head); f != "" {
		return f, nil
	}
	return "", foreign(keys)
}

// layoutByKeys looks at the keys of the first row, and at the texts by which makers of the
// same keys differ. "": none.
func layoutByKeys(keys []string, head []byte) Format {
	has := func(key string) bool { return slices.Contains(keys, key) }
	says := func(text string) bool { return bytes.Contains(head, []byte(text)) }
	switch {
	case has("messages") && (has("available_tools") || has("target_tools") || has("subset_name")):
		return Toucan
	case has("messages"):
		return OpenAI
	case has("available_tools"), has("target_tools"):
		return Toucan
	case has("conversations") && says("<tools>"):
		return Hermes
	case has("conversations") && says(toolsMarker), has("system") && says(toolsMarker):
		return ToolACE
	case has("conversations"):
		return ShareGPT
	case has("question") && !has("answers"):
		return BFCL
	case has("query"), has("answers"):
		return XLAM
	case has("chat"), has("system") && says("functioncall>"):
		return Glaive
	case has("reward_model") && has("prompt"), has("instruction") && says("**Available Tools**"):
		return ToolRL
	case has("instruction") && says("API descriptions:"):
		return APIBank
	case has("system"):
		return ToolACE
	}
	return ""
}

// needs are the keys of which rows of a format have one.
func needs(f Format) []string {
	switch f {
	case BFCL:
		return []string{"question"}
	case XLAM:
		return []string{"query", "answers"}
	case Glaive:
		return []string{"chat"}
	case ToolRL, APIBank:
		return []string{"instruction", "prompt"}
	}
	return []string{"messages", "conversations"}
}

// otherFormat is the format of a row that has none of the keys that rows of the file's format
// need. "": it has one, or is of no other format.
func (o Options) otherFormat(raw []byte, file Format) Format {
	keys := topKeys(raw)
	for i := range keys {
		keys[i] = o.ours("row", keys[i])
	}
	if slices.ContainsFunc(keys, func(key string) bool { return slices.Contains(needs(file), key) }) {
		return ""
	}
	if f := layoutByKeys(keys, raw); f != "" && !slices.Equal(needs(f), needs(file)) {
		return f
	}
	return ""
}

// foreign says what to do with rows that no importer reads.
func foreign(keys []string) error {
	has := func(key string) bool { return slices.Contains(keys, key) }
	switch {
	case len(keys) == 0:
		return errors.New("the first row has no field")
	case has("ground_truth"):
		return errors.New("these are BFCL's answers alone: join them with their questions and publish the result")
	case has("role") && (has("text") || has("api_name")):
		return errors.New("each line is one turn (API-Bank's samples): publish its test-data files, " +
			"which have whole rows")
	case has("requirement") && has("apis"):
		return errors.New("API-Bank's level 3: its tools are only found during the conversation, so no row has them")
	case has("responses_create_params"):
		return errors.New("rows of responses_create_params: write them as {\"messages\": […], \"tools\": […]}")
	case has("chosen") || has("rejected"):
		return errors.New("preference pairs: the rounds make their own; write the chosen side as " +
			`{"messages": […], "tools": […]}`)
	case has("instruction"):
		return errors.New("instructions without tools: write them as {\"messages\": […], \"tools\": […]}")
	}
	var known []string
	for _, l := range Layouts() {
		known = append(known, string(l.Format))
	}
	return fmt.Errorf("unknown rows with the fields %s; known are %s: the guide shows a row of each. "+
		"If only names differ, say so in split.columns", strings.Join(keys, ", "), strings.Join(known, ", "))
}

func refuseBinary(head []byte) error {
	for _, b := range []struct{ magic, what string }{
		{"PAR1", "a Parquet file: convert it to JSON lines"},
		{"\x1f\x8b", "a gzip file: unpack it first"},
		{"PK\x03\x04", "a zip file: unpack it first"},
		{"BZh", "a bzip2 file: unpack it first"},
		{"\xfd7zXZ", "an xz file: unpack it first"},
		{"ARROW1", "an Arrow file: write it as Parquet or JSON lines"},
		{"\xff\xff\xff\xff", "an Arrow file: write it as Parquet or JSON lines"},
		{"\x28\xb5\x2f\xfd", "a zstd file: unpack it first"},
		{"\xff\xfe", "UTF-16 text: save it as UTF-8"},
		{"\xfe\xff", "UTF-16 text: save it as UTF-8"},
	} {
		if strings.HasPrefix(string(head[:min(8, len(head))]), b.magic) {
			return errors.New("it is " + b.what)
		}
	}
	return nil
}

// topKeys collects the names of the first object's fields that are complete in head.
func topKeys(head []byte) []string {
	d := json.NewDecoder(strings.NewReader(string(head)))
	var keys []string
	if _, err := d.Token(); err != nil {
		return nil
	}
	for d.More() && len(keys) < 64 {
		key, err := d.Token()
		name, ok := key.(string)
		if err != nil || !ok {
			break
		}
		keys = append(keys, shorten(name, 40))
		var value json.RawMessage
		if d.Decode(&value) != nil {
			break // head ends here
		}
	}
	return keys
}
