package doctor

import (
	"fmt"

	"itool/stages/policy/remote"
)

// Engines says what servers give that others run.
func Engines(all []remote.Examined) (out []Finding) {
	for _, e := range all {
		if e.Error != "" {
			out = append(out, Finding{"engine", e.Address + ": " + e.Error, "start it, or give its own address"})
			continue
		}
		f := Finding{What: "engine", Found: fmt.Sprintf("%s: %s, model %s", e.Address, e.Kind, e.Model)}
		if e.Context > 0 {
			f.Found += fmt.Sprintf(", %d tokens", e.Context)
		}
		out = append(out, f)
		for _, g := range e.Gives {
			out = append(out, Finding{"  " + g.What, g.Found, g.Remedy})
		}
	}
	return out
}
