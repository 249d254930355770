package ui

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"slices"
	"strings"
)

// guard lets requests pass that people make in the page itself:
//
//   - The host must be localhost, an IP address or a name that the user gave. So a foreign page cannot reach
//     the server by a name of its own that it lets point here (DNS rebinding).
//   - Requests from other sites are refused, unless a person follows a link. Changes are refused then, too.
//   - The visitor must know the key, from the address or by typing it. A cookie remembers it.
type guard struct {
	key   string
	hosts []string
	next  http.Handler
}

// The page loads nothing from elsewhere, runs no script but its own, and is shown in no frame. Styles may be
// inline because bars have widths.
const policy = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; " +
	"connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"

func (g guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Content-Security-Policy", policy)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "same-origin") // the address may hold the key; a form must tell its origin
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Cache-Control", "no-store")
	switch {
	case !g.knows(r.Host):
		http.Error(w, "this name is not one of the page's: ask by IP address or localhost, or start it with "+
			"--host NAME", http.StatusMisdirectedRequest)
	case crossSite(r):
		http.Error(w, "requests from other sites are refused", http.StatusForbidden)
	case g.key == "" || g.hasCookie(r):
		g.next.ServeHTTP(w, r)
	case g.enters(r):
		g.welcome(w, r)
	case strings.HasPrefix(r.URL.Path, "/web/"):
		g.next.ServeHTTP(w, r) // style and script are no secret
	default:
		w.WriteHeader(http.StatusUnauthorized)
		_ = render(w, "door", r.URL.Path)
	}
}

// knows reports whether a request may ask for this host.
func (g guard) knows(host string) bool {
	name := host
	if h, _, err := net.SplitHostPort(host); err == nil {
		name = h
	}
	name = strings.ToLower(strings.Trim(name, "[]"))
	return name == "localhost" || net.ParseIP(name) != nil || slices.Contains(g.hosts, name)
}

// crossSite reports whether another site made the request. Browsers say so; other clients need no refusal,
// because they cannot be made to act for a visitor.
func crossSite(r *http.Request) bool {
	if err := http.NewCrossOriginProtection().Check(r); err != nil {
		return true
	}
	from := r.Header.Get("Sec-Fetch-Site")
	foreign := from == "cross-site" || from == "same-site" // another port of this machine is the same site
	follows := r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Mode") == "navigate" &&
		r.Header.Get("Sec-Fetch-Dest") == "document"
	return foreign && !follows
}

// cookie is the name of the cookie. Ports share their cookies, so several servers need several names.
func cookie(r *http.Request) string {
	_, port, _ := net.SplitHostPort(r.Host)
	return "itool-" + port
}

// hashed is what the cookie holds: not the key itself, which may be one that its user has elsewhere, too.
func (g guard) hashed() string {
	sum := sha256.Sum256([]byte("itool page\x00" + g.key))
	const hex = "0123456789abcdef"
	var b strings.Builder
	for _, x := range sum {
		b.WriteByte(hex[x>>4])
		b.WriteByte(hex[x&15])
	}
	return b.String()
}

func (g guard) hasCookie(r *http.Request) bool {
	c, err := r.Cookie(cookie(r))
	return err == nil && equal(c.Value, g.hashed())
}

// enters reports whether a request brings the key: in the address, or typed at the door.
func (g guard) enters(r *http.Request) bool {
	if r.Method == http.MethodPost && r.URL.Path == "/enter" {
		r.Body = http.MaxBytesReader(nil, r.Body, 4<<10)
		return equal(r.PostFormValue("key"), g.key)
	}
	return r.Method == http.MethodGet && equal(r.URL.Query().Get("key"), g.key)
}

// welcome sets the cookie and leads to the same address without the key.
func (g guard) welcome(w http.ResponseWriter, r *http.Request) {
	http.SetCookie(w, &http.Cookie{
		Name: cookie(r), Value: g.hashed(), Path: "/", HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
	to := r.URL.Path
	if r.Method == http.MethodPost {
		to = "/"
	}
	http.Redirect(w, r, "/"+strings.TrimLeft(to, "/\\"), http.StatusSeeOther)
}

// equal compares in a time that says nothing of the content.
func equal(a, b string) bool {
	x, y := sha256.Sum256([]byte(a)), sha256.Sum256([]byte(b))
	return subtle.ConstantTimeCompare(x[:], y[:]) == 1
}
