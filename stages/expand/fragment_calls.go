package expand

// inCalls scans [f(a=1), g(b=2)], with and without brackets.
func (s *scanner) inCalls(c byte) (ends bool) {
	switch {
	case s.remark:
		s.remark = c != '\n' && c != '\r'
	case s.open.depth == 0:
		ends = s.betweenCalls(c)
	case s.open.depth > 1:
		s.inValue(c)
	default:
		ends = s.inArguments(c)
	}
	s.blank = isBlank(c)
	return ends
}

// betweenCalls scans the names of calls and what stands between the calls.
func (s *scanner) betweenCalls(c byte) (ends bool) {
	switch {
	case isBlank(c):
	case c == '(':
		cut := s.filled && !s.blank
		s.open.push(c)
		s.noName, s.opened = !s.filled, true
		s.named, s.equals, s.proven, s.filled = false, false, false, false
		return cut
	case s.called && !s.filled && c != ',' && c != ']' && (s.list || c != '`'):
		s.leave()
	case c == ',' && !s.filled:
		s.called = false
	case c == ',' && !s.list:
		s.leave()
	case c == '[' && s.filled:
		s.inName++
	case c == ']' && s.inName > 0:
		s.inName--
	case c == ']':
		s.close()
	case !s.list && !isWord(c) && c != '.', c == '"', c == '=', c == '{', c == '}', c == ')':
		s.leave()
	default:
		s.filled = true
	}
	return false
}

// leave ends the calls because of a byte that belongs to none. Words follow a call without brackets.
func (s *scanner) leave() {
	s.kind = broken
	if !s.list {
		s.kind, s.dot = prose, false
	}
}

// close ends the list of calls. Brackets without a parenthesis are prose.
func (s *scanner) close() {
	s.kind = broken
	if !s.opened {
		s.kind, s.dot = prose, false
	}
}

// inArguments scans between the parentheses of a call, outside of values in brackets.
func (s *scanner) inArguments(c byte) (ends bool) {
	if s.equals {
		s.equals = false
		if c == '=' {
			return false // a comparison
		}
		s.named, s.proven, s.filled = true, true, false
	}
	unlike := s.unlike
	s.unlike = c == '!' || c == '<' || c == '>' || c == ':'
	switch c {
	case ' ', '\n', '\t', '\r':
	case '#':
		s.remark = true
	case ')':
		return s.closeArguments()
	case ',':
		ends = s.named && s.filled
		if s.proven && !s.filled {
			s.kind, ends = broken, false
		}
		s.named, s.filled = false, false
	case '=':
		s.equals = s.filled && !s.named && !unlike
		s.filled = true
	case '\'', '"':
		s.quote(c)
	case '(', '[', '{':
		s.filled = true
		s.push(c)
	case ']', '}':
		s.kind = broken
	default:
		s.filled = true
	}
	return ends
}

// closeArguments ends a call, or a parenthesis in a tool's name.
func (s *scanner) closeArguments() (ends bool) {
	s.open.pop(')')
	ends = s.named && s.filled || !s.named && !s.filled
	if !s.proven && (s.filled || s.noName) {
		s.filled = true // of the name
		if !s.list {
			s.leave()
		}
		return false
	}
	s.called, s.filled, s.named = true, false, false
	return ends
}

// quote opens a text. In a name it is an apostrophe.
func (s *scanner) quote(c byte) {
	switch {
	case s.named || !s.filled:
		s.text.begin(c)
	case s.proven:
		s.kind = broken
	}
	s.filled = true
}

// inValue scans a value in brackets.
func (s *scanner) inValue(c byte) {
	switch c {
	case '\'', '"':
		s.text.begin(c)
	case '#':
		s.remark = true
	case '(', '[', '{':
		s.push(c)
	case ')', ']', '}':
		if !s.open.pop(c) {
			s.kind = broken
		}
	}
}

func (s *scanner) push(c byte) {
	if !s.open.push(c) {
		s.kind = broken
	}
}
