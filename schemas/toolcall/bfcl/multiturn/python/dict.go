package python

import (
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
)

// Dict is a Python dict: its keys keep the order in which they came.
type Dict struct {
	at      map[string]int // hash → place in entries
	entries []entry        // also deleted ones
	live    int
}

type entry struct {
	key, value Value
	deleted    bool
}

// NewDict makes an empty dict.
func NewDict() *Dict { return &Dict{at: map[string]int{}} }

// Record makes a dict of names and values: Record("id", 1, "name", "x").
func Record(pairs ...Value) *Dict {
	d := NewDict()
	for i := 0; i+1 < len(pairs); i += 2 {
		value := pairs[i+1]
		if n, ok := value.(int); ok {
			value = Int(int64(n))
		}
		d.set(pairs[i], value)
	}
	return d
}

// Len is len(d).
func (d *Dict) Len() int { return d.live }

// Keys returns the keys in order.
func (d *Dict) Keys() []Value {
	keys := make([]Value, 0, d.live)
	for _, e := range d.entries {
		if !e.deleted {
			keys = append(keys, e.key)
		}
	}
	return keys
}

// Get returns d[key]; false also for a key that no dict can have.
func (d *Dict) Get(key Value) (Value, bool) {
	hash, err := hashOf(key)
	if err != nil {
		return nil, false
	}
	i, ok := d.at[hash]
	if !ok {
		return nil, false
	}
	return d.entries[i].value, true
}

// Index is d[key]: a missing key is a KeyError, one that has no hash a TypeError.
func (d *Dict) Index(key Value) (Value, error) {
	if _, err := hashOf(key); err != nil {
		return nil, err
	}
	if v, ok := d.Get(key); ok {
		return v, nil
	}
	text, err := Repr(key)
	if err != nil {
		return nil, err
	}
	return nil, &Error{"KeyError", text}
}

// Has is "key in d".
func (d *Dict) Has(key Value) (bool, error) {
	if _, err := hashOf(key); err != nil {
		return false, err
	}
	_, ok := d.Get(key)
	return ok, nil
}

// Set is d[key] = value. A key that has no hash, such as a list, is a TypeError.
func (d *Dict) Set(key, value Value) error {
	if _, err := hashOf(key); err != nil {
		return err
	}
	d.set(key, value)
	return nil
}

func (d *Dict) set(key, value Value) {
	hash, err := hashOf(key)
	if err != nil {
		return
	}
	if i, ok := d.at[hash]; ok {
		d.entries[i].value = value
		return
	}
	d.at[hash] = len(d.entries)
	d.entries = append(d.entries, entry{key: key, value: value})
	d.live++
}

// Delete is d.pop(key, None); it reports whether the key was there.
func (d *Dict) Delete(key Value) bool {
	hash, err := hashOf(key)
	if err != nil {
		return false
	}
	i, ok := d.at[hash]
	if !ok {
		return false
	}
	delete(d.at, hash)
	d.entries[i] = entry{deleted: true}
	d.live--
	if len(d.entries) > 2*d.live+8 {
		d.compact()
	}
	return true
}

func (d *Dict) compact() {
	d.entries = slices.DeleteFunc(d.entries, func(e entry) bool { return e.deleted })
	for i, e := range d.entries {
		hash, _ := hashOf(e.key)
		d.at[hash] = i
	}
}

// Shallow is d.copy().
func (d *Dict) Shallow() *Dict {
	c := NewDict()
	for _, e := range d.entries {
		if !e.deleted {
			c.set(e.key, e.value)
		}
	}
	return c
}

// Set is a Python set. Its items stay in the order in which they came, which Python does not
// promise.
type Set struct{ Dict }

// NewSet makes a set of the items that have a hash.
func NewSet(items ...Value) *Set {
	s := &Set{*NewDict()}
	for _, item := range items {
		s.set(item, nil)
	}
	return s
}

// Items returns the items.
func (s *Set) Items() []Value { return s.Keys() }

// Add adds an item that has a hash.
func (s *Set) Add(item Value) { s.set(item, nil) }

// Clone copies the set.
func (s *Set) Clone() *Set { return NewSet(s.Items()...) }

// hashOf gives the same text for keys that are equal.
func hashOf(v Value) (string, error) { return hashAt(v, 0) }

func hashAt(v Value, depth int) (string, error) {
	if depth > maxDepth {
		return "", errLimit
	}
	switch x := v.(type) {
	case nil:
		return "N", nil
	case string:
		return "s" + x, nil
	case bool:
		if x {
			return "n1", nil
		}
		return "n0", nil
	case *big.Int:
		return "n" + x.Text(62), nil
	case float64:
		if x == math.Trunc(x) && !math.IsInf(x, 0) {
			whole, _ := big.NewFloat(x).Int(nil)
			return "n" + whole.Text(62), nil
		}
		return "f" + strconv.FormatFloat(x, 'g', -1, 64), nil
	case Opaque:
		return "o" + x.Text, nil
	case *Tuple:
		var b strings.Builder
		b.WriteByte('t')
		for _, item := range x.Items {
			hash, err := hashAt(item, depth+1)
			if err != nil {
				return "", err
			}
			b.WriteString(strconv.Itoa(len(hash)) + ":" + hash)
		}
		return b.String(), nil
	}
	return "", &Error{"TypeError", "unhashable type: '" + TypeName(v) + "'"}
}
