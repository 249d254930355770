package sim

import (
	"fmt"
	"io"

	"itool/schemas/toolcall/bfcl/multiturn/python"
)

// Extension holds the texts and lists with which BFCL fills the results of long contexts.
type Extension struct{ values *python.Dict }

// extensionKinds are the names in the file and the type of each value.
var extensionKinds = map[string]string{
	"WATCH_LIST_EXTENSION": "list", "TRANSACTION_HISTORY_EXTENSION": "list", "MA_5_EXTENSION": "list",
	"MA_20_EXTENSION": "list", "TECHNOLOGY_EXTENSION": "list", "AUTOMOBILE_EXTENSION": "list",
	"ORDER_DETAIL_EXTENSION": "dict", "FILE_CONTENT_EXTENSION": "str", "POPULATE_FILE_EXTENSION": "list",
	"CAR_STATUS_METADATA_EXTENSION": "str", "LONG_WEATHER_EXTENSION": "dict",
	"PARKING_BRAKE_INSTRUCTION": "str", "INTERMEDIARY_CITIES": "list", "CREDIT_CARD_EXTENSION": "dict",
	"BOOKING_RECORD_EXTENSION": "dict", "FILES_TAIL_USED": "list",
}

// MaxExtension limits the bytes of a file with these values; BFCL's has 190 KB.
const MaxExtension = 16 << 20

// ReadExtension reads the JSON object of BFCL's long_context values by their names, in which
// {"$ellipsis": true} stands for Python's Ellipsis. For BFCL's own file, which is Python, see
// multiturn.ReadLongContext.
func ReadExtension(r io.Reader) (*Extension, error) {
	data, err := io.ReadAll(io.LimitReader(r, MaxExtension+1))
	if err != nil {
		return nil, err
	}
	if len(data) > MaxExtension {
		return nil, fmt.Errorf("sim: the texts of long contexts have more than %d bytes", MaxExtension)
	}
	v, err := python.ParseJSON(data)
	if err != nil {
		return nil, fmt.Errorf("sim: the texts of long contexts: %w", err)
	}
	values, ok := v.(*python.Dict)
	if !ok {
		return nil, fmt.Errorf("sim: the texts of long contexts: want an object, got a %s", python.TypeName(v))
	}
	for _, key := range values.Keys() {
		value, _ := values.Get(key)
		if list, ok := value.(*python.List); ok {
			for i, item := range list.Items {
				list.Items[i] = ellipsis(item)
			}
		}
	}
	return NewExtension(values)
}

// NewExtension makes an extension of the values by their names, and keeps them. A missing name, or a
// value of another type, is an error that names it.
func NewExtension(values *python.Dict) (*Extension, error) {
	for name, kind := range extensionKinds {
		value, ok := values.Get(name)
		if got := python.TypeName(value); !ok || got != kind {
			return nil, fmt.Errorf("sim: the texts of long contexts: %s: want a %s, got %s", name, kind, got)
		}
	}
	return &Extension{values}, nil
}

func ellipsis(v Value) Value {
	if d, ok := v.(*python.Dict); ok {
		if _, ok := d.Get("$ellipsis"); ok {
			return python.Ellipsis
		}
	}
	return v
}

func (e *Extension) text(name string) string {
	v, _ := e.values.Get(name)
	return v.(string)
}

// list and dict must not be changed: all worlds share them.
func (e *Extension) list(name string) *python.List {
	v, _ := e.values.Get(name)
	return v.(*python.List)
}

func (e *Extension) dict(name string) *python.Dict {
	v, _ := e.values.Get(name)
	return v.(*python.Dict)
}
