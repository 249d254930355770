package apibank

import (
	"regexp"

	"itool/schemas/toolcall/bfcl/multiturn/python"
)

// Call is a call as the original finds it in an answer. All values are texts.
type Call struct {
	Name  string
	Names []string          // of the arguments, each once, in order
	Args  map[string]string // the last value of a name
}

// Python's \w and \s know letters, digits and blanks of all scripts.
const (
	word  = `[\p{L}\p{N}_]`
	blank = `[\s\x{0b}\x{1c}-\x{1f}\x{85}\p{Z}]`
)

var (
	callForm = regexp.MustCompile(`\[(` + word + `+)\((.*)\)\]`)
	argForm  = regexp.MustCompile(`(` + word + `+)` + blank + `*=` + blank + `*['"](.+?)['"]` +
		`|(` + word + `+)` + blank + `*=` + blank + `*(\[.*\])` +
		`|(` + word + `+)` + blank + `*=` + blank + `*(` + word + `+)`)
)

// Read finds the call of an answer: from the first "[Name(" to the last ")]" of its line. Arguments are name='text'
// in either quotes, of which either ends the text, name=[…], or name=word; anything else between the parentheses is
// passed over.
func Read(answer string) (c Call, found bool) {
	m := callForm.FindStringSubmatch(answer)
	if m == nil {
		return Call{}, false
	}
	c = Call{Name: m[1], Args: map[string]string{}}
	for _, arg := range argForm.FindAllStringSubmatch(m[2], -1) {
		for i := 1; i < len(arg); i += 2 {
			if arg[i] == "" {
				continue
			}
			if _, again := c.Args[arg[i]]; !again {
				c.Names = append(c.Names, arg[i])
			}
			c.Args[arg[i]] = arg[i+1]
			break
		}
	}
	return c, true
}

// dict is the arguments as the values that they are.
func (c Call) dict() *python.Dict {
	d := python.NewDict()
	for _, name := range c.Names {
		_ = d.Set(name, c.Args[name]) // a text has a hash
	}
	return d
}
