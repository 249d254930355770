package embed

import (
	"errors"
	"os"
	"sync"
)

var errLocked = errors.New("locked by another process")

// lock is held as long as its file is open.
type lock struct {
	f    *os.File
	once sync.Once
}

func (l *lock) release() { l.once.Do(func() { l.f.Close() }) }
