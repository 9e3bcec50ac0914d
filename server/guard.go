package server

import (
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"
)

// refused says why a request is not served, "" if it is. No page of another
// site may use a user's browser to reach the server: requests of another
// origin are refused, on a loopback address so are those for another host (a
// name that was made to resolve to it), and a form can't pass for a statement.
func refused(r *http.Request) string {
	if origin := r.Header.Get("Origin"); origin != "" {
		u, err := url.Parse(origin)
		if err != nil || u.Host != r.Host {
			return "requests from another origin are refused"
		}
	}
	if addr, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr); ok && addr.IP.IsLoopback() && !isLoopbackHost(r.Host) {
		return "this server listens on a loopback address and takes requests for localhost only, not for " + r.Host
	}
	if r.Method != http.MethodPost {
		return ""
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil {
		kind = r.Header.Get("Content-Type")
	}
	switch {
	case kind == "", strings.HasPrefix(kind, "application/json"), strings.HasPrefix(kind, "application/vnd."), kind == "application/x-ndjson", kind == "application/octet-stream":
		return ""
	case kind == "application/x-www-form-urlencoded" && r.Header.Get("Origin") == "" && r.Header.Get("Sec-Fetch-Site") == "":
		return "" // curl -d says so of everything; a browser would tell where it comes from
	}
	return "the content type " + kind + " is not taken; use application/json"
}

func isLoopbackHost(hostPort string) bool {
	host := hostPort
	if h, _, err := net.SplitHostPort(hostPort); err == nil {
		host = h
	}
	host = strings.Trim(host, "[]")
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || strings.HasSuffix(strings.ToLower(host), ".localhost") || ip != nil && ip.IsLoopback()
}
