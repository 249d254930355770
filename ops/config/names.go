package config

import (
	"encoding/json"
	"sort"
	"strings"
)

// inSection names the settings that a key without its section may mean, such as line.rounds; "": none, or it is a
// setting itself.
func inSection(key string) string {
	var meant []string
	for _, name := range Names() {
		if name == key {
			return ""
		}
		if strings.HasSuffix(name, "."+key) {
			meant = append(meant, name)
		}
	}
	return strings.Join(meant, " or ")
}

// Names are the names of all settings, such as "line.rounds", in the order of the alphabet.
func Names() (names []string) {
	text, err := json.Marshal(Default())
	if err != nil {
		panic(err) // a plain struct
	}
	var add func(path string, text json.RawMessage)
	add = func(path string, text json.RawMessage) {
		var section map[string]json.RawMessage
		if json.Unmarshal(text, &section) != nil || len(section) == 0 {
			names = append(names, path)
			return
		}
		for key, value := range section {
			add(join(path, key), value)
		}
	}
	add("", text)
	sort.Strings(names)
	return names
}
