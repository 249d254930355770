package storage

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
)

// IdentityKey is the object that tells a store from every other one. It is written once, by
// the program that creates the store, and its content is never changed.
const IdentityKey = "itool-store"

// Identity reads the identity of a store. ErrNotExist: it was never given one. Two addresses
// with the same identity lead to the same objects.
func Identity(ctx context.Context, s Store) (string, error) {
	r, _, err := s.Get(ctx, IdentityKey)
	if err != nil {
		return "", err
	}
	defer r.Close()
	text, err := io.ReadAll(io.LimitReader(r, maxIdentity+1))
	if err != nil {
		return "", err
	}
	return string(text), checkIdentity(string(text))
}

// Identify gives a store the identity id, unless it has one, and returns the identity that
// the store has. Choose id at random: 8 to 64 characters of a-z and 0-9.
func Identify(ctx context.Context, s Store, id string) (string, error) {
	if err := checkIdentity(id); err != nil {
		return "", err
	}
	have, err := Identity(ctx, s)
	if !errors.Is(err, ErrNotExist) {
		return have, err
	}
	_, err = s.PutIfAbsent(ctx, IdentityKey, strings.NewReader(id), int64(len(id)))
	if err != nil && !errors.Is(err, ErrExists) {
		return "", err
	}
	return Identity(ctx, s) // another process may have been faster
}

const (
	minIdentity = 8
	maxIdentity = 64 // characters
)

func checkIdentity(id string) error {
	if len(id) < minIdentity || len(id) > maxIdentity ||
		strings.Trim(id, "abcdefghijklmnopqrstuvwxyz0123456789") != "" {
		return fmt.Errorf("%w: object %s: %.80q is no identity of a store: want %d to %d characters of a-z 0-9",
			ErrCorrupt, IdentityKey, id, minIdentity, maxIdentity)
	}
	return nil
}
