package serve

import (
	"crypto/subtle"
	"errors"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// CheckOrigin refuses what is no value of Options.Origins.
func CheckOrigin(origin string) error {
	u, err := url.Parse(origin)
	if origin == "*" || err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != "" &&
		origin == u.Scheme+"://"+u.Host {
		return nil
	}
	return errors.New("want * or an origin such as https://app.example or http://localhost:3000")
}

// admit checks host, origin and key, and bounds the body.
func (s *Server) admit(x *exchange) error {
	if s.Key == "" && !s.AnyHost && !isAddress(x.request.Host) {
		return &apiError{http.StatusMisdirectedRequest, wrongHost, "",
			"without a key only an IP address or localhost is answered: set ITOOL_API_KEY, or start with --insecure"}
	}
	if err := http.NewCrossOriginProtection().Check(x.request); err != nil && !s.trusted(x.request) {
		return &apiError{http.StatusForbidden, wrongOrigin, "",
			"a page of another origin asks: itool serve --cors ORIGIN allows it"}
	}
	if s.Key != "" && x.request.URL.Path != "/health" {
		given, _ := strings.CutPrefix(x.request.Header.Get("Authorization"), "Bearer ")
		if subtle.ConstantTimeCompare([]byte(given), []byte(s.Key)) != 1 {
			text := "the API key is missing or wrong: send it as Authorization: Bearer KEY"
			return &apiError{http.StatusUnauthorized, invalidKey, "", text}
		}
	}
	x.request.Body = http.MaxBytesReader(x.ResponseWriter, x.request.Body, maxBody)
	return nil
}

// isAddress tells whether a request's host is localhost or an IP address. Any other name could be one that a foreign
// page lets point here, so that the browser takes this server for the page's own (DNS rebinding).
func isAddress(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.Trim(host, "[]")
	return strings.EqualFold(host, "localhost") || net.ParseIP(host) != nil
}

// trusted tells whether the page that asks is one of Origins.
func (s *Server) trusted(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	return origin != "" && (slices.Contains(s.Origins, origin) || slices.Contains(s.Origins, "*"))
}

// allowOrigin tells the browser of a trusted page that the page may read the answer (CORS).
func (s *Server) allowOrigin(x *exchange) {
	h := x.Header()
	if len(s.Origins) > 0 {
		h.Add("Vary", "Origin")
	}
	if !s.trusted(x.request) {
		return
	}
	h.Set("Access-Control-Allow-Origin", x.request.Header.Get("Origin"))
	h.Set("Access-Control-Expose-Headers", requestID+", Retry-After")
	if isPreflight(x.request) {
		h.Set("Access-Control-Allow-Methods", "GET, POST")
		h.Set("Access-Control-Allow-Headers", x.request.Header.Get("Access-Control-Request-Headers"))
		h.Set("Access-Control-Max-Age", "600")
	}
}

// isPreflight tells whether a browser asks what it may ask.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
}
