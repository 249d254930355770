package schemas

import (
	"fmt"
	"strconv"
	"strings"
)

// NewerError says that a batch has a version that this program does not know yet. The batch
// is sound: hold it until a newer worker comes; do not park it.
type NewerError struct {
	Have string // the newest version known here, such as "pair/v1"
	Want string // the version of the batch, such as "pair/v2"
}

func (e *NewerError) Error() string {
	return fmt.Sprintf("schemas: needs %s, this program knows %s: update it", e.Want, e.Have)
}

// Upgrader is a record that can still be read from its previous version: the
// method decodes the older rows with the struct they had then and converts them.
//
//	func (Pair) Upgrade(b Batch) ([]Pair, error) { old, err := Decode[pairV1](b); … }
//
// The struct of the previous version is unexported, because it is never written again. See
// Selection.
type Upgrader[R Record] interface {
	Upgrade(b Batch) ([]R, error)
}

// compareVersions compares the version of a batch, want, with the version known here, have:
// negative means that the batch is older, 0 the same, positive newer.
func compareVersions(have, want string) (int, error) {
	haveName, haveVersion, err := splitSchema(have)
	if err != nil {
		return 0, err
	}
	wantName, wantVersion, err := splitSchema(want)
	if err != nil {
		return 0, err
	}
	if haveName != wantName {
		return 0, fmt.Errorf("the batch holds %s records", want)
	}
	return wantVersion - haveVersion, nil
}

// splitSchema parses "pair/v2". It accepts one spelling only, so that equal
// versions are equal strings.
func splitSchema(s string) (name string, version int, err error) {
	if len(s) > maxName {
		return "", 0, fmt.Errorf("schema of %d bytes, at most %d", len(s), maxName)
	}
	name, digits, ok := strings.Cut(s, "/v")
	if !ok || name == "" || strings.Trim(name, "abcdefghijklmnopqrstuvwxyz_") != "" {
		return "", 0, fmt.Errorf("schema %q is not of the form name/v1", s)
	}
	version, err = strconv.Atoi(digits)
	if err != nil || version < 1 || strconv.Itoa(version) != digits {
		return "", 0, fmt.Errorf("schema %q is not of the form name/v1", s)
	}
	return name, version, nil
}

// Readable returns nil if a program that knows the schema have can read a batch of the
// schema want. Otherwise it returns a *NewerError or says what is wrong with want. Older
// versions pass: Decode upgrades or refuses them.
func Readable(have, want string) error {
	newer, err := compareVersions(have, want)
	if err != nil {
		return err
	}
	if newer > 0 {
		return &NewerError{Have: have, Want: want}
	}
	return nil
}
