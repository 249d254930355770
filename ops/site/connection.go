package site

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"itool/broker"
	"itool/ops/courier"
)

// Connection says where broker and store are, and how to log in at both. The zero value of a
// field means that it is not needed.
type Connection struct {
	// Broker is nats://HOST:PORT or tls://HOST:PORT, or several with commas between: nodes of one
	// cluster. A TOKEN@ or USER:PASSWORD@ may stand before the host.
	Broker string

	// At most one way to log in at the broker, besides a certificate.
	Token          string
	User, Password string
	Creds          string // path of a .creds file
	NKey           string // path of a file with an nkey seed
	CA             string // path of a PEM file: the authority of the servers' certificates
	Cert, Key      string // paths of PEM files: our own certificate

	Inbox string // answers arrive on _INBOX_<Inbox>.>, where the user may read only those; "": _INBOX.>

	Replicas int // copies of every stream that this process makes; 0: one

	// Timeout limits one exchange with the broker; 0: that of broker.Config. An election on a cluster
	// takes up to ten seconds: who waits longer does not notice it.
	Timeout time.Duration

	Store string // see OpenStore
	StoreLogin
}

// StoreLogin says how to log in at a store on MinIO or S3.
type StoreLogin struct {
	// Keys is "" for those in ITOOL_MINIO_ACCESS_KEY, ITOOL_MINIO_SECRET_KEY and
	// ITOOL_MINIO_SESSION_TOKEN; "cloud" for those that the cloud gives its machines; else the path
	// of a file as ~/.aws/credentials.
	Keys string
	// CA is the path of a PEM file with an authority to trust besides those of the system.
	CA string
}

// Cloud is the value of StoreLogin.Keys for the keys of the cloud.
const Cloud = "cloud"

// Open connects to a broker (see Connect) and opens a store (see OpenStore).
func Open(ctx context.Context, c Connection, log *slog.Logger) (*Site, error) {
	s, err := OpenStore(ctx, c.Store, c.StoreLogin)
	if err != nil {
		return nil, err
	}
	b, err := Connect(ctx, c, log)
	if err != nil {
		return nil, err
	}
	return &Site{Courier: &courier.Courier{Broker: b, Store: s}}, nil
}

// Connect connects to a broker. Without a login of its own, the token of an `itool up` on this
// machine is found beside the store; see FindToken.
func Connect(ctx context.Context, c Connection, log *slog.Logger) (*broker.Broker, error) {
	if err := checkAddress(c.Broker); err != nil {
		return nil, err
	}
	login := c.Token != "" || c.User != "" || c.Creds != "" || c.NKey != ""
	switch inAddress := strings.Contains(c.Broker, "@"); {
	case inAddress && login:
		return nil, usage("the broker's address has a login in it, and another one is given: keep one of them")
	case !inAddress && !login:
		c.Broker = FindToken(c.Broker, c.Store)
	}
	b, err := broker.Connect(ctx, broker.Config{
		URL: c.Broker, Token: c.Token, User: c.User, Password: c.Password, Creds: c.Creds, NKeySeed: c.NKey,
		CA: c.CA, Cert: c.Cert, Key: c.Key, Replicas: c.Replicas, Timeout: c.Timeout,
		InboxToken: c.Inbox, Name: "itool", Log: log,
	})
	switch {
	case errors.Is(err, broker.ErrUnavailable):
		return nil, fmt.Errorf("%w; `itool up` starts a broker on this machine", err)
	case errors.Is(err, broker.ErrDenied):
		return nil, fmt.Errorf("%w: give nats://TOKEN@HOST:PORT, or --creds, --nkey or --user; of an `itool up` on "+
			"this machine, --dir finds it", err)
	}
	return b, err
}
