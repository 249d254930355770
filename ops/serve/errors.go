package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"itool/ops/serve/constrain"
	"itool/stages/policy"
)

// apiError is an error whose text the client gets.
type apiError struct {
	status int
	code   code
	param  string // the field
	text   string
}

// code is the error's name for programs. OpenAI's clients and those of other engines know most of them.
type code string

const (
	invalidValue  code = "invalid_value"
	unsupported   code = "unsupported_parameter"
	unknownModel  code = "model_not_found"
	unknownURL    code = "unknown_url"
	invalidKey    code = "invalid_api_key"
	wrongOrigin   code = "cross_origin_request"
	wrongHost     code = "wrong_host"
	tooLarge      code = "request_too_large"
	tooLong       code = "context_length_exceeded"
	rateLimit     code = "rate_limit_exceeded"
	stopping      code = "server_stopping"
	internalError code = "internal_error"
)

func (e *apiError) Error() string {
	if e.param == "" {
		return e.text
	}
	return e.param + ": " + e.text
}

// bad is an error about the value of a field.
func bad(param, text string, args ...any) error {
	return &apiError{http.StatusBadRequest, invalidValue, param, fmt.Sprintf(text, args...)}
}

// refused is an error about a field that the server does not support.
func refused(param, text string, args ...any) error {
	return &apiError{http.StatusBadRequest, unsupported, param, "is not supported" + fmt.Sprintf(text, args...)}
}

// errorBody is an error as OpenAI writes it.
type errorBody struct {
	Error struct {
		Message string  `json:"message"`
		Type    string  `json:"type"`
		Param   *string `json:"param"`
		Code    code    `json:"code"`
	} `json:"error"`
}

func (e *apiError) body() (b errorBody) {
	b.Error.Message, b.Error.Code, b.Error.Type = e.Error(), e.code, "invalid_request_error"
	if e.param != "" {
		b.Error.Param = &e.param
	}
	switch {
	case e.status == http.StatusTooManyRequests:
		b.Error.Type = "rate_limit_error"
	case e.status >= 500:
		b.Error.Type = "server_error"
	}
	return b
}

// fail answers with an error. A client that has gone gets none.
func (s *Server) fail(x *exchange, err error) {
	if errors.Is(err, context.Canceled) {
		x.gone()
		return
	}
	e := s.forClient(err)
	x.code = e.code
	if e.status == http.StatusTooManyRequests {
		x.Header().Set("Retry-After", "1")
	}
	x.Header().Set("Content-Type", "application/json")
	x.WriteHeader(e.status)
	_ = json.NewEncoder(x).Encode(e.body())
}

// forClient is an error as the client gets it. Faults of the server are logged; the client does not get their
// text.
func (s *Server) forClient(err error) *apiError {
	var e *apiError
	var size *http.MaxBytesError
	switch {
	case errors.As(err, &e):
		return e
	case errors.As(err, &size):
		text := fmt.Sprintf("the request has more than %d bytes", size.Limit)
		return &apiError{http.StatusRequestEntityTooLarge, tooLarge, "", text}
	case errors.Is(err, policy.ErrBusy):
		return &apiError{http.StatusTooManyRequests, rateLimit, "", "too many requests are waiting: try again later"}
	case errors.Is(err, policy.ErrTooLong):
		return &apiError{http.StatusBadRequest, tooLong, "", err.Error()}
	case errors.Is(err, constrain.ErrComplex):
		return &apiError{http.StatusBadRequest, invalidValue, "response_format", err.Error()}
	case errors.Is(err, policy.ErrStopped):
		return &apiError{http.StatusServiceUnavailable, stopping, "", "the server is stopping"}
	}
	s.Log.Error("request failed", "error", err)
	return &apiError{http.StatusInternalServerError, internalError, "", "the engine failed: see the server's log"}
}
