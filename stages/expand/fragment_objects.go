package expand

// object is what the scanner knows of calls in JSON.
type object struct {
	key     [maxKey]byte // of the entry, as far as it is read
	length  uint8        // of the key; maxKey + 1 if it is longer
	reading bool         // a key is being read
	value   bool         // a colon stands behind the key

	blocks bool // only what follows <tool_call> is a call
	begun  bool // it stands before the next byte

	arguments uint8 // depth of the arguments that are open, 0: none
	other     uint8 // depth of a value that holds no call, 0: none
}

const maxKey = uint8(len("tool_calls"))

// inObjects scans calls in JSON. Text between the objects ends no fragment.
func (s *scanner) inObjects(c byte) (ends bool) {
	o := &s.object
	if o.blocks && s.open.depth == 0 && !s.inBlock(c) {
		return false
	}
	switch c {
	case '"', '\'':
		if s.open.depth > 0 {
			o.reading = s.open.in('{') && !o.value
			if o.length = 0; !o.reading {
				o.length = maxKey + 1
			}
			s.text.begin(c)
		}
	case '{', '[':
		return s.openObject(c)
	case '}', ']':
		return s.closeObject(c)
	case ':':
		o.value = true
	case ',':
		ends = s.open.depth > 0 && s.open.depth == o.arguments && o.value
		if s.open.depth > 0 && s.open.depth == o.arguments && !o.value {
			s.kind = broken
		}
		o.value = false
	}
	return ends
}

// inBlock reports whether c opens the object of a block. Other words between blocks are none of the grammar's.
func (s *scanner) inBlock(c byte) bool {
	o := &s.object
	opens := o.begun && c == '{'
	o.begun = s.mark(c) == block || o.begun && isBlank(c)
	return opens
}

// openObject opens an object or a list. Arguments are the object of that name in a call, which stands alone, in a list,
// or under "function".
func (s *scanner) openObject(c byte) (ends bool) {
	o := &s.object
	if s.open.depth == 0 && c == '[' {
		return false // words between the calls
	}
	if s.open.in('{') && o.arguments == 0 && o.other == 0 {
		switch key := o.key[:min(o.length, maxKey)]; {
		case o.length > maxKey:
			o.other = s.open.depth + 1
		case c == '{' && (string(key) == "arguments" || string(key) == "parameters"):
			o.arguments = s.open.depth + 1
			ends = true
		case string(key) != "function" && string(key) != "tool_calls":
			o.other = s.open.depth + 1
		}
	}
	o.value = false
	s.push(c)
	return ends && s.kind == objects
}

// closeObject closes one. What stands around it has a value now.
func (s *scanner) closeObject(c byte) (ends bool) {
	o := &s.object
	depth := s.open.depth
	if depth == 0 {
		return false
	}
	if !s.open.pop(c) {
		s.kind = broken
		return false
	}
	o.value = true
	switch depth {
	case o.arguments:
		o.arguments = 0
		return true
	case o.other:
		o.other = 0
	}
	return false
}

// read takes a byte of a key.
func (o *object) read(c byte) {
	if o.length < maxKey {
		o.key[o.length] = c
	}
	o.length = min(o.length+1, maxKey+1)
}
