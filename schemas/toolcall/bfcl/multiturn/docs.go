package multiturn

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"slices"

	"itool/schemas/toolcall/bfcl/multiturn/python"
)

// DocFiles are the files of BFCL's folder multi_turn_func_doc, by class.
var DocFiles = map[string]string{
	"GorillaFileSystem": "gorilla_file_system.json", "MathAPI": "math_api.json",
	"MessageAPI": "message_api.json", "TwitterAPI": "posting_api.json", "TicketAPI": "ticket_api.json",
	"TradingBot": "trading_bot.json", "TravelAPI": "travel_booking.json",
	"VehicleControlAPI": "vehicle_control.json",
}

// Docs are the descriptions of every class's functions, as a model is told of them.
type Docs map[string][]Doc

// Doc describes one function.
type Doc struct {
	Name string
	JSON json.RawMessage // the tool's schema
}

// maxDoc limits one line of a file.
const maxDoc = 1 << 20

// Read adds the descriptions of a class, one JSON object a line. Errors name class and line.
func (d Docs) Read(class string, r io.Reader) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, maxDoc)
	for n := 1; lines.Scan(); n++ {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		var doc struct{ Name string }
		if err := json.Unmarshal(line, &doc); err != nil {
			return fmt.Errorf("multiturn: descriptions of %s: line %d: %w", class, n, err)
		}
		if doc.Name == "" {
			return fmt.Errorf("multiturn: descriptions of %s: line %d: name: missing", class, n)
		}
		d[class] = append(d[class], Doc{doc.Name, bytes.Clone(line)})
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("multiturn: descriptions of %s: %w", class, err)
	}
	return nil
}

// tools are the descriptions for an entry, without those of hidden functions.
func (d Docs) tools(e *Entry, hidden func(name string) bool) ([]Doc, error) {
	var all []Doc
	for _, class := range e.Classes {
		if len(d[class]) == 0 {
			return nil, fmt.Errorf("multiturn: %s: no descriptions of %s: read %s", e.ID, class, DocFiles[class])
		}
		for _, doc := range d[class] {
			if !slices.Contains(e.Excluded, doc.Name) && !hidden(doc.Name) {
				all = append(all, doc)
			}
		}
	}
	return all, nil
}

// array is the JSON array of descriptions.
func array(docs []Doc) json.RawMessage {
	all := make([]json.RawMessage, len(docs))
	for i, doc := range docs {
		all[i] = doc.JSON
	}
	text, err := json.Marshal(all)
	if err != nil {
		return json.RawMessage("[]") // they were read as JSON
	}
	return text
}

// pythonText is the repr of the list of descriptions.
func pythonText(docs []Doc) (string, error) {
	v, err := python.ParseJSON(array(docs))
	if err != nil {
		return "", err
	}
	return python.Repr(v)
}
