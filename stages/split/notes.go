package split

import (
	"bytes"
	"context"
	"encoding/json"
	"slices"

	"itool/schemas/toolcall"
	"itool/stages"
)

// NotesFile is the name of the document that a shard's notes are attached as, if there are any.
const NotesFile = "notes.json"

// Notes say what became of a shard's rows besides being kept or dropped. A file's notes are
// those of its shards added up.
type Notes struct {
	Unknown       map[string]int `json:"unknown_keys,omitempty"`     // key, such as turn.mood → rows that have it
	Reasoning     int            `json:"reasoning,omitempty"`        // rows with it; see Config.Reasoning
	Passages      int            `json:"format_passages,omitempty"`  // rows whose text dictated another form of calls
	NullArguments int            `json:"null_arguments,omitempty"`   // arguments that only padded a merged table
	NullSchemas   int            `json:"null_properties,omitempty"`  // parts of tools' schemas that only padded one
	Positional    int            `json:"positional,omitempty"`       // arguments that the tool's schema gave a name
	Unchecked     map[string]int `json:"unchecked_tools,omitempty"`  // what schemas say and no check knows → rows
	Moved         int            `json:"moved_exclusions,omitempty"` // turns that ask otherwise than Config.Exclude
}

// Empty reports whether there is nothing to say.
func (n Notes) Empty() bool {
	counts := n.Reasoning + n.Passages + n.NullArguments + n.NullSchemas + n.Positional + n.Moved
	return len(n.Unknown)+len(n.Unchecked)+counts == 0
}

// Add adds the notes of another shard.
func (n *Notes) Add(o Notes) {
	n.Reasoning += o.Reasoning
	n.Passages += o.Passages
	n.NullArguments += o.NullArguments
	n.NullSchemas += o.NullSchemas
	n.Positional += o.Positional
	n.Moved += o.Moved
	for key, rows := range o.Unknown {
		count(&n.Unknown, key, rows)
	}
	for key, rows := range o.Unchecked {
		count(&n.Unchecked, key, rows)
	}
}

// noted is what is noted of one row.
type noted struct {
	unknown             []string
	unchecked           []string
	reasoning, passage  bool
	padding, positional int
	properties, moved   int
}

// maxNotes bounds the different keys that are counted; a hostile file has one a row.
const maxNotes = 200

func (n *Notes) add(row noted) {
	for _, key := range row.unknown {
		count(&n.Unknown, key, 1)
	}
	slices.Sort(row.unchecked)
	for _, what := range slices.Compact(row.unchecked) {
		count(&n.Unchecked, cut(what, 100), 1)
	}
	if row.reasoning {
		n.Reasoning++
	}
	if row.passage {
		n.Passages++
	}
	n.NullArguments += row.padding
	n.NullSchemas += row.properties
	n.Positional += row.positional
	n.Moved += row.moved
}

func count(in *map[string]int, key string, rows int) {
	if *in == nil {
		*in = map[string]int{}
	}
	if _, known := (*in)[key]; !known && len(*in) >= maxNotes {
		key = "and others"
	}
	(*in)[key] += rows
}

// attach stores the notes beside the result.
func (n Notes) attach(ctx context.Context, out stages.Output) error {
	if n.Empty() {
		return nil
	}
	text, err := json.Marshal(n)
	if err != nil {
		return stages.Reject(err)
	}
	return out.Attach(ctx, NotesFile, bytes.NewReader(text))
}

// withoutPadding drops what is null in the schemas of tools, because the table that they come from
// has a column for every parameter of every tool, and for all that schemas say. Without any the
// bytes stay.
func withoutPadding(raw json.RawMessage) (json.RawMessage, int) {
	if !bytes.Contains(raw, []byte("null")) {
		return raw, 0
	}
	v, err := toolcall.FromJSON(raw)
	if err != nil {
		return raw, 0 // ParseTools says what is wrong
	}
	v, dropped := trim(v, outside)
	if dropped == 0 {
		return raw, 0
	}
	return json.RawMessage(v.JSON()), dropped
}

// place is where in a tool a dict stands.
type place int

const (
	outside    place = iota // around the schemas
	schema                  // a schema, or a map from names to schemas
	properties              // the entries are schemas by name
)

// within is the place of what stands under a key; literal: it is a value, in which null is meant.
func (p place) within(key string) (inner place, literal bool) {
	switch {
	case p == properties:
		return schema, false
	case p == outside && slices.Contains([]string{"parameters", "inputSchema", "input_schema"}, key):
		return schema, false
	case p == outside:
		return outside, false
	case slices.Contains([]string{"default", "const", "enum", "example", "examples"}, key):
		return schema, true
	case key == "properties":
		return properties, false
	}
	return schema, false
}

// trim drops the null entries of schemas.
func trim(v toolcall.Value, at place) (toolcall.Value, int) {
	dropped := 0
	for i := range v.Items {
		var n int
		v.Items[i], n = trim(v.Items[i], at)
		dropped += n
	}
	pairs := v.Pairs[:0:0]
	for _, p := range v.Pairs {
		inner, literal := at.within(p.Key.Text)
		switch {
		case literal:
		case at != outside && p.Value.Kind == toolcall.None:
			dropped++
			continue
		default:
			var n int
			p.Value, n = trim(p.Value, inner)
			dropped += n
		}
		pairs = append(pairs, p)
	}
	v.Pairs = pairs
	return v, dropped
}
