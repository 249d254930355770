package main

import (
	"os"
	"strings"
)

// thisCommand is the command line of this process, for a hint to give it again. What `go run` builds is gone
// afterwards.
func thisCommand() string {
	if strings.Contains(os.Args[0], "go-build") {
		return shellLine(append([]string{"go", "run", "./ops/itool"}, os.Args[1:]...)...)
	}
	return shellLine(os.Args...)
}

// shellLine is a command line that a POSIX shell reads as these words. Hints for people are copied into one.
func shellLine(words ...string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = shellQuote(w)
	}
	return strings.Join(quoted, " ")
}

// shellQuote quotes a word that a shell would not take as it is.
func shellQuote(word string) string {
	plain := func(r rune) bool {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		return letter || r >= '0' && r <= '9' || strings.ContainsRune("-_./:=,@%+", r)
	}
	if word != "" && strings.IndexFunc(word, func(r rune) bool { return !plain(r) }) < 0 {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}
