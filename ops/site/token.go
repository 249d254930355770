package site

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
)

// The broker of a folder wants a token, so that only the owner of the folder reaches it: anybody who has an
// account on the machine can connect to a port of it. The token is made once and kept in the folder, in a
// file that only the owner can read, so that workers find the broker again after it was restarted.

// folderToken reads the token of a folder, or makes it.
func folderToken(dir string) (string, error) {
	name := filepath.Join(dir, "token")
	old, err := os.ReadFile(name)
	switch token := strings.TrimSpace(string(old)); {
	case err == nil && token == "":
		return "", fmt.Errorf("%s is empty: delete it, and another one is made", name)
	case err == nil:
		return token, os.Chmod(name, 0o600)
	case !errors.Is(err, fs.ErrNotExist):
		return "", err
	}
	token := random()
	if err := writePrivate(name, token+"\n", os.Link); errors.Is(err, fs.ErrExist) {
		return folderToken(dir) // another process was faster
	} else if err != nil {
		return "", err
	}
	return token, nil
}

// random is 32 characters that are not guessed and not drawn twice.
func random() string {
	b := make([]byte, 16)
	rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// writePrivate writes a file that only its owner can read, also if one is there that others can read.
// move gives it its name: os.Rename, or os.Link if the first writer wins.
func writePrivate(name, text string, move func(from, to string) error) error {
	f, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-") // 0600
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(text)
	if err := errors.Join(err, f.Chmod(0o600), f.Close()); err != nil {
		return err
	}
	return move(f.Name(), name)
}

// makePrivate makes a folder that only its owner can enter. A folder that is there stays as it is: its
// user may have opened it to others on purpose.
func makePrivate(dir string) error {
	if exists(dir) {
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return os.Chmod(dir, 0o700) // the umask may have taken rights away
}

func withToken(address, token string) string {
	if token == "" {
		return address
	}
	return strings.Replace(address, "://", "://"+token+"@", 1)
}

// FindToken completes the address of a broker on this machine. If it has no login and the store lies
// in the folder of the `itool up` that serves it, the token is read from there. Other addresses stay as
// they are.
func FindToken(address, store string) string {
	path, disk := strings.CutPrefix(store, "disk:")
	u, err := url.Parse(address)
	if err != nil || !disk || u.User != nil || !loopback(u.Hostname()) {
		return address
	}
	served, err := os.ReadFile(addressFile(filepath.Dir(path)))
	if err != nil {
		return address
	}
	own, err := url.Parse(string(served))
	if err != nil || own.User == nil || own.Port() != u.Port() {
		return address
	}
	return withToken(address, own.User.Username())
}

func loopback(host string) bool {
	return host == "localhost" || net.ParseIP(host).IsLoopback()
}

// checkAddress refuses what is no list of addresses. The address is not shown: it may hold a password.
func checkAddress(addresses string) error {
	for one := range strings.SplitSeq(addresses, ",") {
		if u, err := url.Parse(strings.TrimSpace(one)); err != nil || u.Host == "" {
			return usage("--broker is no address such as nats://127.0.0.1:4222, or several with commas between")
		}
	}
	return nil
}

// token is the token that the broker of a folder wants; "": none.
func (o options) token(dir string, port int) (string, error) {
	if o.noToken || port == NoPort {
		return "", nil
	}
	token, err := folderToken(dir)
	if err != nil {
		return "", fmt.Errorf("the token of the broker: %w", err)
	}
	return token, nil
}
