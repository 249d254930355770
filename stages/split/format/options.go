package format

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Options are what a user says about a file.
type Options struct {
	// Columns renames keys and speakers, as LLaMA-Factory's dataset_info.json does: its name
	// for one (columnNames) to the name in the file.
	Columns map[string]string
	// Ignore are keys that say nothing in this file, though they are refused elsewhere.
	Ignore []string
}

// columns maps the names of dataset_info.json to ours, by kind of object; speakers are values.
var columns = map[string]map[string]string{
	"row":  {"messages": "conversations", "system": "system", "tools": "tools"},
	"turn": {"role_tag": "from", "content_tag": "value"},
	"speaker": {
		"user_tag": "human", "assistant_tag": "gpt", "observation_tag": "observation", "function_tag": "function_call",
		"system_tag": "system",
	},
}

// Validate names a column that does not exist.
func (o Options) Validate() error {
	var known []string
	for _, names := range columns {
		known = slices.AppendSeq(known, maps.Keys(names))
	}
	slices.Sort(known)
	for _, name := range slices.Sorted(maps.Keys(o.Columns)) {
		if !slices.Contains(known, name) {
			return fmt.Errorf("%q is none of %s", name, strings.Join(known, ", "))
		}
		if o.Columns[name] == "" {
			return fmt.Errorf("%s: the name in the file is empty", name)
		}
	}
	for _, names := range columns {
		of := map[string]string{}
		for _, name := range slices.Sorted(maps.Keys(names)) {
			theirs := o.Columns[name]
			if other := of[theirs]; theirs != "" && other != "" {
				return fmt.Errorf("%s and %s are both %q: which of them is it?", other, name, theirs)
			}
			of[theirs] = name
		}
	}
	return nil
}

// ours returns our name for a key or a speaker of the file.
func (o Options) ours(of, name string) string {
	if len(o.Columns) == 0 {
		return name
	}
	for theirs, own := range columns[of] {
		if o.Columns[theirs] == name && name != "messages" && name != "role" && name != "content" {
			return own
		}
	}
	return name
}

// rename gives the keys of an object our names.
func (im *importer) rename(of string, f *fields) error {
	if len(im.Columns) == 0 {
		return nil
	}
	for i, key := range f.keys {
		name := im.ours(of, key)
		if name == key {
			continue
		}
		if _, there := f.values[name]; there {
			return fail(BadRow, f.at(key), "split.columns calls it %s, and the row has one already", name)
		}
		f.keys[i] = name
		f.values[name] = f.values[key]
		delete(f.values, key)
	}
	return nil
}
