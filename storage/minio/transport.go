package minio

import (
	"context"
	"net"
	"net/http"
	"time"

	mc "github.com/minio/minio-go/v7"
)

const (
	dialTimeout = 5 * time.Second
	stallAfter  = time.Minute // without a byte in either direction
)

// transport is the client library's transport with a time limit for stalled connections.
// Neither the HTTP client nor S3 has such a limit for bodies.
func transport(secure bool) (*http.Transport, error) {
	t, err := mc.DefaultTransport(secure)
	if err != nil {
		return nil, err
	}
	dialer := net.Dialer{Timeout: dialTimeout, KeepAlive: 15 * time.Second}
	t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		c, err := dialer.DialContext(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return stallConn{c}, nil
	}
	return t, nil
}

// stallConn is a connection that fails if no byte is sent or received for stallAfter. A
// write also postpones the deadline for reading, because the reader waits for the answer to
// the request that is being written.
type stallConn struct{ net.Conn }

func (c stallConn) Read(p []byte) (int, error) {
	if err := c.SetReadDeadline(time.Now().Add(stallAfter)); err != nil {
		return 0, err
	}
	return c.Conn.Read(p)
}

func (c stallConn) Write(p []byte) (int, error) {
	if err := c.SetDeadline(time.Now().Add(stallAfter)); err != nil {
		return 0, err
	}
	return c.Conn.Write(p)
}
