package model

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// unread are the fields of a JSON object that nothing here reads, each with the one
// value that leaves what is computed as it is, or with whatever. A field of no list may
// say that a feature is not used: null, false, 0, or empty.
type unread map[string]any

// whatever: the field never changes what is computed.
type anyValue struct{}

var whatever anyValue

// refuse names the first field of object, which is decoded into a struct like read,
// that may mean another computation: a field that is passed over gives another model
// without any error.
func (u unread) refuse(object []byte, read any) error {
	var fields map[string]any
	if err := json.Unmarshal(object, &fields); err != nil {
		return err
	}
	for _, f := range reflect.VisibleFields(reflect.TypeOf(read)) {
		name, _, _ := strings.Cut(f.Tag.Get("json"), ",")
		delete(fields, name)
	}
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		value := fields[name]
		neutral, listed := u[name]
		if value == nil || neutral == any(whatever) || neutral == value || !listed && unused(value) {
			continue
		}
		text, err := json.Marshal(value)
		if err != nil {
			return err
		}
		return fmt.Errorf("%s: %.80s is not supported, as it may mean another computation; delete the field if it means none", name, text)
	}
	return nil
}

// unused tells whether a value switches something off.
func unused(v any) bool {
	switch v := v.(type) {
	case []any:
		return len(v) == 0
	case map[string]any:
		return len(v) == 0
	}
	return v == nil || v == false || v == 0.0 || v == ""
}
