package main

import (
	"fmt"
	"os"
)

// overwriting is the flag of commands that write a file.
type overwriting struct {
	Force bool `help:"Replace the file if it is there."`
}

// check refuses a file that is there; "" is none.
func (o overwriting) check(file string) error {
	if file == "" || o.Force {
		return nil
	}
	if _, err := os.Lstat(file); err == nil {
		return fmt.Errorf("%s is there already: give another name, or --force to replace it", file)
	}
	return nil // what else is wrong with the name, writing says
}
