package broker

import (
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/nats-io/nats.go"
)

// loginOptions checks and converts the fields of c that say how to log in.
func loginOptions(c Config) (opts []nats.Option, err error) {
	for _, f := range []string{c.Creds, c.NKeySeed, c.CA, c.Cert, c.Key} {
		if f == "" {
			continue
		}
		if _, err := os.Stat(f); err != nil {
			return nil, fmt.Errorf("broker: connect: credentials: %w", err)
		}
	}
	identities := 0
	if c.Token != "" {
		identities++
		opts = append(opts, nats.Token(c.Token))
	}
	if c.User != "" || c.Password != "" {
		identities++
		if c.User == "" || c.Password == "" {
			return nil, errors.New("broker: connect: a user needs a password, and a password its user")
		}
		opts = append(opts, nats.UserInfo(c.User, c.Password))
	}
	if c.Creds != "" {
		identities++
		opts = append(opts, nats.UserCredentials(c.Creds))
	}
	if c.NKeySeed != "" {
		identities++
		o, err := nats.NkeyOptionFromSeed(c.NKeySeed)
		if err != nil {
			return nil, fmt.Errorf("broker: connect: nkey seed %s: %w", c.NKeySeed, err)
		}
		opts = append(opts, o)
	}
	if identities > 1 {
		return nil, errors.New("broker: connect: set only one of token, user, credentials file and nkey seed")
	}
	if (c.Cert == "") != (c.Key == "") {
		return nil, errors.New("broker: connect: a certificate needs its key, and a key its certificate")
	}
	if c.CA != "" {
		opts = append(opts, nats.RootCAs(c.CA))
	}
	if c.Cert != "" {
		opts = append(opts, nats.ClientCert(c.Cert, c.Key))
	}
	return opts, nil
}

// explainConnect says what to do about a connection that was not made.
func explainConnect(err error) error {
	var unknown x509.UnknownAuthorityError
	switch {
	case errors.Is(err, nats.ErrAuthorization):
		return fmt.Errorf("%w: Authorization Violation: the server wants another token, user or key", ErrDenied)
	case errors.As(err, &unknown):
		return fmt.Errorf("%w: give the file of the authority that signed the server's certificate (--ca)", err)
	case strings.Contains(err.Error(), "certificate required"),
		strings.Contains(err.Error(), "closed by remote after TLS handshake"):
		return fmt.Errorf("%w: the server wants to see a certificate of this client (--cert and --key)", err)
	}
	return fmt.Errorf("%w: is the server up (itool up), and are the address and the credentials right?", err)
}
