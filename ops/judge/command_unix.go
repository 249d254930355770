//go:build unix

package judge

import (
	"errors"
	"syscall"
)

func isBroken(err error) bool { return errors.Is(err, syscall.EPIPE) }
