package minio

import (
	"context"
	"fmt"
	"net/http"
	"time"
)

// ClockSkew is how far the server's clock is ahead of this machine's, within a second and half
// of the time that the answer took. Servers refuse requests with a difference of 15 minutes.
func (s *Store) ClockSkew(ctx context.Context) (ahead, within time.Duration, err error) {
	at := s.core.EndpointURL().String()
	r, err := http.NewRequestWithContext(ctx, http.MethodHead, at, nil)
	if err != nil {
		return 0, 0, fmt.Errorf("storage/minio: read the server's clock: %w", err)
	}
	asked := time.Now()
	answer, err := s.transport.RoundTrip(r) // without a login: any answer has the time
	if err != nil {
		return 0, 0, fmt.Errorf("storage/minio: read the server's clock at %s: %w", at, err)
	}
	answer.Body.Close()
	took := time.Since(asked)
	date, err := http.ParseTime(answer.Header.Get("Date"))
	if err != nil {
		return 0, 0, fmt.Errorf("storage/minio: read the server's clock at %s: %w", at, err)
	}
	// The date has no fractions: on average it is half a second old.
	return date.Add(time.Second / 2).Sub(asked.Add(took / 2)), took/2 + time.Second, nil
}
