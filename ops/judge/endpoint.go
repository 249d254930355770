package judge

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
)

// endpoint is a judge behind HTTP: one POST for each batch.
type endpoint struct {
	url, token string
	shown      string // the URL without login and query, which may hold secrets
	client     *http.Client
}

func newEndpoint(address, token string) (*endpoint, error) {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return nil, errors.New("judge: the URL does not parse; want http://host:port/path or https://…")
	}
	shown := url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}
	client := &http.Client{
		// A redirect would take the example, and perhaps the token, to another place.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &endpoint{url: address, token: token, shown: shown.String(), client: client}, nil
}

func (e *endpoint) exchange(ctx context.Context, request []byte) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, e.url, bytes.NewReader(request))
	if err != nil {
		return nil, withoutURL(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if e.token != "" {
		r.Header.Set("Authorization", "Bearer "+e.token)
	}
	answer, err := e.client.Do(r)
	if err != nil {
		return nil, because(ctx, withoutURL(err))
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(io.LimitReader(answer.Body, mostAnswer+1))
	switch {
	case err != nil:
		return nil, because(ctx, err)
	case answer.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("status %d: %s", answer.StatusCode, quote(body))
	case len(body) > mostAnswer:
		return nil, fmt.Errorf("its answer is longer than %d bytes", mostAnswer)
	}
	return body, nil
}

func (*endpoint) ready(context.Context) error { return nil }

func (*endpoint) stop() {}

// withoutURL is an error of the HTTP client without the URL, which may hold secrets.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

// because is the reason why a context ended, if it did.
func because(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}
