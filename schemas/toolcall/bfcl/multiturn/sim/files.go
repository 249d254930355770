package sim

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"itool/schemas/toolcall/bfcl/multiturn/python"
)

// fileSystem is GorillaFileSystem: a tree of files and the directory in which the user is.
type fileSystem struct {
	root, cwd *node
	long      bool
	*budget
}

// maxTreeDepth limits a walk: copies of directories share their children, so that a tree can
// be deeper than anything that was written.
const maxTreeDepth = 500

func newFileSystem(s state, ext *Extension, b *budget) (*fileSystem, error) {
	fs := &fileSystem{root: newDirectory("/", nil), long: ext != nil, budget: b}
	roots, err := s.dict("root")
	if err != nil {
		return nil, err
	}
	if keys := roots.Keys(); len(keys) > 0 {
		first, _ := roots.Get(keys[0])
		contents, err := contentsOf(first)
		if err != nil {
			return nil, fmt.Errorf("root: %w", err)
		}
		fs.root = newDirectory(keys[0], nil)
		if err := load(fs.root, contents, ext); err != nil {
			return nil, err
		}
	}
	fs.cwd = fs.root
	return fs, nil
}

func contentsOf(v Value) (*python.Dict, error) {
	inner, err := index(v, "contents")
	if err != nil {
		return nil, err
	}
	contents, ok := inner.(*python.Dict)
	if !ok {
		return nil, fmt.Errorf("contents: want an object, got a %s", python.TypeName(inner))
	}
	return contents, nil
}

// load makes the nodes of a directory. Long contexts make files longer and directories without
// others fuller.
func load(dir *node, contents *python.Dict, ext *Extension) error {
	flat := true
	for _, name := range contents.Keys() {
		v, _ := contents.Get(name)
		kind, err := index(v, "type")
		if err != nil {
			return fmt.Errorf("%v: %w", name, err)
		}
		if kind == "directory" {
			flat = false
			inner, err := contentsOf(v)
			if err != nil {
				return fmt.Errorf("%v: %w", name, err)
			}
			child := newDirectory(name, dir)
			if err := load(child, inner, ext); err != nil {
				return err
			}
			dir.put(name, child)
			continue
		}
		content, err := index(v, "content")
		if err != nil {
			return fmt.Errorf("%v: %w", name, err)
		}
		if text, ok := content.(string); ok && ext != nil {
			if used, _ := contains(ext.list("FILES_TAIL_USED"), name); !used {
				content = text + ext.text("FILE_CONTENT_EXTENSION")
			}
		}
		dir.put(name, newFile(name, content))
	}
	if flat && ext != nil {
		for _, name := range ext.list("POPULATE_FILE_EXTENSION").Items {
			dir.put(name, newFile(name, ""))
		}
	}
	return nil
}

func (fs *fileSystem) attributes() []Attribute {
	return []Attribute{{"root", fs.root}, {"long_context", fs.long}}
}

func (fs *fileSystem) methods() map[string]method {
	file := need("file_name")
	return map[string]method{
		"pwd": {nil, fs.pwd}, "ls": {or(nil, "a", false), fs.ls}, "cd": {need("folder"), fs.cd},
		"mkdir": {need("dir_name"), fs.mkdir}, "touch": {file, fs.touch},
		"echo": {or(need("content"), "file_name", nil), fs.echo}, "cat": {file, fs.cat},
		"find": {or(or(nil, "path", "."), "name", nil), fs.find},
		"wc":   {or(file, "mode", "l"), fs.wc}, "sort": {file, fs.sort},
		"grep": {need("file_name", "pattern"), fs.grep}, "du": {or(nil, "human_readable", false), fs.du},
		"tail": {or(file, "lines", python.Int(10)), fs.tail},
		"diff": {need("file_name1", "file_name2"), fs.diff}, "mv": {need("source", "destination"), fs.mv},
		"cp": {need("source", "destination"), fs.cp}, "rm": {file, fs.rm}, "rmdir": {need("dir_name"), fs.rmdir},
	}
}

func (fs *fileSystem) pwd([]Value) (Value, error) {
	var names []string
	for n := fs.cwd; n != nil; n = n.parent {
		if len(names) > maxTreeDepth {
			return nil, errTooDeep
		}
		name, err := python.Str(n.name)
		if err != nil {
			return nil, err
		}
		names = append(names, name)
	}
	slices.Reverse(names)
	return python.Record("current_working_directory", "/"+strings.Join(names, "/")), nil
}

func (fs *fileSystem) ls(a []Value) (Value, error) {
	if err := fs.spend(16 * fs.cwd.contents.Len()); err != nil {
		return nil, err
	}
	names := &python.List{}
	for _, name := range fs.cwd.contents.Keys() {
		text, ok := name.(string)
		if !python.Truthy(a[0]) && !ok {
			return nil, noAttribute(name, "startswith")
		}
		if python.Truthy(a[0]) || !strings.HasPrefix(text, ".") {
			names.Items = append(names.Items, name)
		}
	}
	return python.Record("current_directory_content", names), nil
}

func (fs *fileSystem) cd(a []Value) (Value, error) {
	folder := a[0]
	if folder == ".." {
		if fs.cwd.parent == nil {
			return fail("Cuurent directory is already the root. Cannot go back.") // so in the original
		}
		fs.cwd = fs.cwd.parent
		return python.NewDict(), nil
	}
	dir, err := fs.directory(folder)
	if err != nil {
		return nil, err
	}
	if dir == nil {
		return fail("cd: {}: No such directory. You cannot use path to change directory.", folder)
	}
	fs.cwd = dir
	return python.Record("current_working_directory", dir.name), nil
}

// directory follows a path; nil if it ends nowhere.
func (fs *fileSystem) directory(path Value) (*node, error) {
	if path == nil || path == "." {
		return fs.cwd, nil
	}
	text, ok := path.(string)
	switch {
	case !ok:
		return nil, noAttribute(path, "strip")
	case text == "/":
		return fs.root, nil
	}
	at := fs.cwd
	if strings.HasPrefix(text, "/") {
		at = fs.root
	}
	for part := range strings.SplitSeq(strings.Trim(text, "/"), "/") {
		if part == "." {
			continue
		}
		if at = at.child(part); at == nil || !at.isDir() {
			return nil, nil
		}
	}
	return at, nil
}

// invalid reports whether a name has a character that files may not have.
func invalid(name Value) (bool, error) {
	for _, r := range `|/\?%*:"><` {
		if found, err := contains(name, string(r)); found || err != nil {
			return found, err
		}
	}
	return false, nil
}

// free says why the name cannot be created: a result, or nil if it can.
func (fs *fileSystem) free(name Value, refusal string) (Value, error) {
	bad, err := invalid(name)
	if err != nil {
		return nil, err
	}
	if bad {
		return fail(refusal+"Invalid character", name)
	}
	exists, err := fs.cwd.contents.Has(name)
	if err != nil {
		return nil, err
	}
	if exists {
		return fail(refusal+"File exists", name)
	}
	return nil, nil
}

func (fs *fileSystem) mkdir(a []Value) (Value, error) {
	refused, err := fs.free(a[0], "mkdir: cannot create directory '{}': ")
	if refused == nil && err == nil {
		fs.cwd.put(a[0], newDirectory(a[0], fs.cwd))
	}
	return refused, err
}

func (fs *fileSystem) touch(a []Value) (Value, error) {
	refused, err := fs.free(a[0], "touch: cannot touch '{}': ")
	if refused == nil && err == nil {
		fs.cwd.put(a[0], newFile(a[0], ""))
	}
	return refused, err
}

func (fs *fileSystem) echo(a []Value) (Value, error) {
	content, name := a[0], a[1]
	if name == nil || name == "" {
		return python.Record("terminal_output", content), nil
	}
	bad, err := invalid(name)
	if err != nil {
		return nil, err
	}
	if bad {
		return fail("echo: cannot touch '{}': Invalid character", name)
	}
	exists, err := fs.cwd.contents.Has(name)
	if err != nil {
		return nil, err
	}
	if !exists {
		fs.cwd.put(name, newFile(name, content))
		return nil, nil
	}
	file := fs.cwd.child(name)
	if file.isDir() {
		return raise("AttributeError", "'Directory' object has no attribute '_write'")
	}
	file.content = content
	return nil, nil
}

func (fs *fileSystem) cat(a []Value) (Value, error) {
	bad, err := invalid(a[0])
	if err != nil {
		return nil, err
	}
	if bad {
		return fail("cat: '{}': Invalid character", a[0])
	}
	file, err := fs.cwd.find(a[0])
	switch {
	case err != nil:
		return nil, err
	case file == nil:
		return fail("cat: {}: No such file or directory", a[0])
	case file.isDir():
		return fail("cat: {}: Is a directory", a[0])
	}
	return python.Record("file_content", file.content), nil
}

func (fs *fileSystem) rm(a []Value) (Value, error) {
	found, err := fs.cwd.find(a[0])
	if err != nil {
		return nil, err
	}
	if found == nil {
		return fail("rm: cannot remove '{}': No such file or directory", a[0])
	}
	fs.cwd.contents.Delete(a[0])
	return note("result", "'{}' removed", a[0])
}

func (fs *fileSystem) rmdir(a []Value) (Value, error) {
	found, err := fs.cwd.find(a[0])
	switch {
	case err != nil:
		return nil, err
	case found == nil:
		return fail("rmdir: cannot remove '{}': No such file or directory", a[0])
	case !found.isDir():
		return fail("rmdir: cannot remove '{}': Not a directory", a[0])
	case found.contents.Len() > 0:
		return fail("rmdir: failed to remove '{}': Directory not empty", a[0])
	}
	fs.cwd.contents.Delete(a[0])
	return note("result", "'{}' removed", a[0])
}

func (fs *fileSystem) du(a []Value) (Value, error) {
	bytes, err := fs.size(fs.cwd, 0)
	if err != nil {
		return nil, err
	}
	if !python.Truthy(a[0]) {
		return python.Record("disk_usage", strconv.Itoa(bytes)+" bytes"), nil
	}
	size := float64(bytes)
	for _, unit := range []string{"B", "KB", "MB", "GB", "TB"} {
		if size < 1024 {
			return python.Record("disk_usage", fmt.Sprintf("%.2f %s", size, unit)), nil
		}
		size /= 1024
	}
	return python.Record("disk_usage", fmt.Sprintf("%.2f PB", size)), nil
}

func (fs *fileSystem) size(dir *node, depth int) (int, error) {
	if depth > maxTreeDepth {
		return 0, errTooDeep
	}
	total := 0
	for _, child := range dir.children() {
		if err := fs.spend(16); err != nil {
			return 0, err
		}
		if child.isDir() {
			inner, err := fs.size(child, depth+1)
			if err != nil {
				return 0, err
			}
			total += inner
			continue
		}
		text, ok := child.content.(string)
		if !ok {
			return 0, noAttribute(child.content, "encode")
		}
		total += len(text)
	}
	return total, nil
}

func (fs *fileSystem) find(a []Value) (Value, error) {
	matches := &python.List{}
	err := fs.walk(fs.cwd, a[0], a[1], matches, 0)
	return python.Record("matches", matches), err
}

func (fs *fileSystem) walk(dir *node, path, name Value, matches *python.List, depth int) error {
	if depth > maxTreeDepth {
		return errTooDeep
	}
	for _, child := range dir.children() {
		prefix, ok := path.(string)
		if !ok {
			return noAttribute(path, "rstrip")
		}
		own, err := python.Str(child.name)
		if err != nil {
			return err
		}
		full := strings.TrimRight(prefix, "/") + "/" + own
		if err := fs.spend(16 + len(full)); err != nil {
			return err
		}
		fits := name == nil
		if !fits {
			if fits, err = contains(child.name, name); err != nil {
				return err
			}
		}
		if fits {
			matches.Items = append(matches.Items, full)
		}
		if child.isDir() {
			if err := fs.walk(child, full, name, matches, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}
