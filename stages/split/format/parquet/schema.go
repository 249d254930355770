package parquet

import (
	"errors"
	"fmt"
	"unicode/utf8"
)

const (
	maxColumns = 1000
	maxNesting = 32 // of groups
)

// Physical types.
const (
	boolean = iota
	int32s
	int64s
	int96s
	floats
	doubles
	byteArray
	fixedBytes
)

// How a leaf is written as JSON.
const (
	asNumber = iota
	asUnsigned
	asText
	asDecimal
	asUUID
	asTime
)

// node is a column or a group of columns.
type node struct {
	name     string
	path     string  // with the groups that it is in, but not those that only make lists and maps
	nested   bool    // within a group of the row
	silent   bool    // what it holds says nothing: null may stand for it
	children []*node // nil: a leaf
	optional bool
	repeated bool
	list     bool // annotated: the only child is repeated, its elements are the list's
	mapped   bool // annotated: the only child is repeated, with a key and a value
	rep, def byte // the highest repetition and definition level of its values
	lo, hi   int  // its leaves

	typ    int // physical; of a leaf
	length int // bytes of a fixedBytes
	as     int
	scale  int // of a decimal
}

// readSchema builds the tree from the list of its nodes in depth-first order.
func readSchema(list []field) (root *node, leaves []*node, err error) {
	s := &schema{list: list}
	if root, err = s.node(&node{}, 0); err == nil && s.next != len(list) {
		err = errThrift
	}
	if err == nil && len(s.leaves) == 0 {
		err = errors.New("it has no columns")
	}
	return root, s.leaves, err
}

type schema struct {
	list   []field
	next   int
	leaves []*node
}

// node reads the next node. A group without children is refused: it would give no values.
func (s *schema) node(parent *node, depth int) (*node, error) {
	if s.next >= len(s.list) || depth > maxNesting {
		return nil, errThrift
	}
	e := &s.list[s.next]
	s.next++
	n := &node{name: string(bytesOf(e.get(4))), rep: parent.rep, def: parent.def, lo: len(s.leaves), nested: depth > 1}
	if !utf8.ValidString(n.name) {
		return nil, errThrift
	}
	if depth > 0 { // the root's name and repetition mean nothing
		n.path = parent.within(n.name)
		switch e.int(3, 0) {
		case 1:
			n.optional = true
			n.def++
		case 2:
			n.repeated = true
			n.rep++
			n.def++
		}
	}
	children := e.int(5, 0)
	if children == 0 {
		if depth == 0 || len(s.leaves) == maxColumns {
			return nil, fmt.Errorf("it has no columns, or more than %d", maxColumns)
		}
		s.leaves = append(s.leaves, n)
		n.hi = len(s.leaves)
		return n, n.leaf(e)
	}
	names := map[string]bool{}
	for range children {
		child, err := s.node(n, depth+1)
		if err != nil {
			return nil, err
		}
		if names[child.name] {
			return nil, fmt.Errorf("two columns have the name %q", child.name)
		}
		names[child.name] = true
		n.children = append(n.children, child)
	}
	n.hi = len(s.leaves)
	n.annotate(e)
	return n, nil
}

// within is the path of a child. Lists and maps have groups of their own: list, element, key_value.
func (n *node) within(name string) string {
	switch {
	case n.path == "":
		return name
	case name == "list" || name == "element" || name == "item" || name == "array" || name == "key_value":
		return n.path
	}
	return n.path + "." + name
}

// annotate recognises lists and maps, by the new or the old annotation.
func (n *node) annotate(e *field) {
	if len(n.children) != 1 || !n.children[0].repeated {
		return
	}
	logical, converted := e.get(10), e.int(6, -1)
	switch {
	case logical.get(3) != nil || converted == 3:
		n.list = true
	case (logical.get(2) != nil || converted == 1 || converted == 2) && len(n.children[0].children) == 2:
		n.mapped = true
	}
}

// leaf decides how the values of a column are written.
func (n *node) leaf(e *field) error {
	n.typ, n.length = int(e.int(1, -1)), int(e.int(2, 0))
	logical, converted := e.get(10), e.int(6, -1)
	unreadable := func(what string) error {
		return fmt.Errorf("column %q holds %s, which has no form in JSON: leave it out", n.name, what)
	}
	switch {
	case logical.get(5) != nil || converted == 5:
		n.as, n.scale = asDecimal, int(logical.get(5).int(1, e.int(7, 0)))
		if n.scale < 0 || n.scale > 100 {
			return errThrift
		}
	case logical.get(14) != nil:
		n.as = asUUID
	case logical.get(6) != nil, logical.get(7) != nil, logical.get(8) != nil, converted >= 6 && converted <= 10:
		n.as = asTime
	case logical.get(10) != nil && logical.get(10).int(2, 1) == 0, converted >= 11 && converted <= 14:
		n.as = asUnsigned
	case logical.get(13) != nil || converted == 20:
		return unreadable("BSON")
	case logical.get(15) != nil:
		return unreadable("half-precision floats")
	case converted == 21:
		return unreadable("intervals")
	case n.typ == byteArray || n.typ == fixedBytes:
		n.as = asText
	}
	switch n.typ {
	case int96s:
		return unreadable("96-bit numbers")
	case fixedBytes:
		if n.length < 1 || n.length > maxPage || n.as == asUUID && n.length != 16 {
			return errThrift
		}
	case boolean, int32s, int64s, floats, doubles, byteArray:
		if n.as == asUUID || n.as == asDecimal && (n.typ == boolean || n.typ == floats || n.typ == doubles) {
			return errThrift
		}
	default:
		return errThrift
	}
	return nil
}

func bytesOf(f *field) []byte {
	if f == nil {
		return nil
	}
	return f.bytes
}
