package sim

import (
	"itool/schemas/toolcall/bfcl/multiturn/python"
)

// node is a file or a directory.
type node struct {
	name     Value
	parent   *node        // of a directory; nil at the root
	contents *python.Dict // name → *node; nil for a file. Moved directories share it with the old one
	content  Value        // of a file
}

var errTooDeep = python.Exception("RecursionError", "maximum recursion depth exceeded")

func newDirectory(name Value, parent *node) *node {
	return &node{name: name, parent: parent, contents: python.NewDict()}
}

func newFile(name, content Value) *node { return &node{name: name, content: content} }

func (n *node) isDir() bool { return n.contents != nil }

// put adds a child under a name that has a hash.
func (n *node) put(name Value, child *node) { _ = n.contents.Set(name, child) }

// child returns the child of that name, or nil.
func (n *node) child(name Value) *node {
	v, _ := n.contents.Get(name)
	child, _ := v.(*node)
	return child
}

// find is child with Python's error for a name that no dict can have.
func (n *node) find(name Value) (*node, error) {
	if _, err := n.contents.Has(name); err != nil {
		return nil, err
	}
	return n.child(name), nil
}

func (n *node) children() (all []*node) {
	for _, name := range n.contents.Keys() {
		all = append(all, n.child(name))
	}
	return all
}

// maxCompared limits the nodes that one comparison visits: copies of copies share children.
const maxCompared = 1 << 20

// sameTree compares names, contents and texts, and neither parents nor the order. Trees beyond
// the limits differ.
func sameTree(a, b *node) bool {
	left := maxCompared
	return sameNode(a, b, 0, &left)
}

func sameNode(a, b *node, depth int, left *int) bool {
	if a == b {
		return true
	}
	if *left--; *left < 0 || depth > maxTreeDepth {
		return false
	}
	if !python.Equal(a.name, b.name) || a.isDir() != b.isDir() {
		return false
	}
	if !a.isDir() {
		return python.Equal(a.content, b.content)
	}
	if a.contents.Len() != b.contents.Len() {
		return false
	}
	for _, name := range a.contents.Keys() {
		other := b.child(name)
		if other == nil || !sameNode(a.child(name), other, depth+1, left) {
			return false
		}
	}
	return true
}

// Tree is the file system below v as dicts: {"file": content} or {"dir": {name: …}}. It is for
// people and tests; false if v is no directory of a file system or too large.
func Tree(v Value) (Value, bool) {
	n, ok := v.(*node)
	if !ok {
		return nil, false
	}
	left := maxCompared
	tree, ok := treeOf(n, 0, &left)
	return python.Record(n.name, tree), ok
}

func treeOf(n *node, depth int, left *int) (Value, bool) {
	if *left--; *left < 0 || depth > maxTreeDepth {
		return nil, false
	}
	if !n.isDir() {
		return python.Record("file", n.content), true
	}
	inner := python.NewDict()
	for _, child := range n.children() {
		v, ok := treeOf(child, depth+1, left)
		if !ok {
			return nil, false
		}
		_ = inner.Set(child.name, v)
	}
	return python.Record("dir", inner), true
}

func (fs *fileSystem) mv(a []Value) (Value, error) {
	source, destination := a[0], a[1]
	item, refused, err := fs.transfer("mv: cannot move '{}'", "mv: no path allowed in destination. "+
		"Only file name and folder name is supported for this operation.", source, destination)
	if item == nil {
		return refused, err
	}
	target, name := fs.cwd, destination
	if dir := fs.cwd.child(destination); dir != nil {
		if target, name = dir, source; !dir.isDir() {
			return fail("mv: cannot move '{}' to '{}': Not a directory", source, destination)
		}
		if dir.child(source) != nil {
			return fail("mv: cannot move '{}' to '{}/{}': File exists", source, destination, source)
		}
	}
	moved := &node{name: name, content: item.content, contents: item.contents}
	if item.isDir() {
		moved.parent = target
	}
	fs.cwd.contents.Delete(source)
	target.put(name, moved)
	if target != fs.cwd {
		return note("result", "'{}' moved to '{}/{}'", source, destination, source)
	}
	return note("result", "'{}' moved to '{}'", source, destination)
}

func (fs *fileSystem) cp(a []Value) (Value, error) {
	source, destination := a[0], a[1]
	item, refused, err := fs.transfer("cp: cannot copy '{}'", "cp: don't allow path in destination. "+
		"Only file name and folder name is supported for this operation.", source, destination)
	if item == nil {
		return refused, err
	}
	target, name := fs.cwd, destination
	if dir := fs.cwd.child(destination); dir != nil {
		if target, name = dir, source; !dir.isDir() {
			return fail("cp: cannot copy '{}' to '{}': Not a directory", source, destination)
		}
		if dir.child(source) != nil {
			kind := "File"
			if item.isDir() {
				kind = "Directory"
			}
			return raise("ValueError", kind+" '{}' already exists in directory '{}'.", source, dir.name)
		}
	}
	made := newFile(name, item.content)
	if item.isDir() {
		if err := fs.spend(64 + 16*item.contents.Len()); err != nil {
			return nil, err
		}
		made = newDirectory(name, target)
	}
	target.put(name, made)
	if item.isDir() {
		made.contents = item.contents.Shallow() // holds itself if a directory is copied into itself
	}
	if target != fs.cwd {
		return note("result", "'{}' copied to '{}/{}'", source, destination, source)
	}
	return note("result", "'{}' copied to '{}'", source, destination)
}

// transfer finds what mv and cp take. item is nil where that is refused, by a result or an
// exception.
func (fs *fileSystem) transfer(refusal, noPath string, source, destination Value) (*node, Value, error) {
	item, err := fs.cwd.find(source)
	if err != nil {
		return nil, nil, err
	}
	if item == nil {
		result, err := fail(refusal+": No such file or directory", source)
		return nil, result, err
	}
	path, err := contains(destination, "/")
	if err != nil {
		return nil, nil, err
	}
	if path {
		result, err := fail(noPath)
		return nil, result, err
	}
	_, err = fs.cwd.find(destination)
	if err != nil {
		return nil, nil, err
	}
	return item, nil, nil
}
