package function

import (
	"net/url"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"karst/sql/types"
)

// URLs are taken apart as java.net.URI does (RFC 2396 and characters beyond
// ASCII): what that refuses gives NULL, and escaped parts come out decoded.

// A uri is a URI's parts, decoded. A part that is not there is nil; a host
// that is no host name, such as one with an underscore, is not there either.
type uri struct {
	scheme, host, path, query, fragment *string
	port                                int // -1: none
}

const (
	uriMarks  = "_-!.~'()*"
	uriPath   = uriMarks + ",;:$&+=@/"
	uriAny    = uriPath + "?[]"
	uriNames  = uriMarks + ",;:$&+=@[]" // an authority's characters
	uriScheme = "+-."
)

// parseURI returns false for text that is no URI.
func parseURI(text string) (uri, bool) {
	u := uri{port: -1}
	rest, fragment, ok := strings.Cut(text, "#")
	if ok {
		if !uriText(fragment, uriAny) {
			return u, false
		}
		u.fragment = decoded(fragment)
	}
	if i := strings.IndexAny(rest, ":/?"); i >= 0 && rest[i] == ':' {
		scheme := rest[:i]
		rest = rest[i+1:]
		if scheme == "" || !isLetter(scheme[0]) || strings.ContainsFunc(scheme, func(r rune) bool { return r >= utf8.RuneSelf }) || !uriText(scheme, uriScheme) || rest == "" {
			return u, false
		}
		u.scheme = &scheme
		if rest[0] != '/' { // opaque, such as mailto:a@b
			return u, uriText(rest, uriAny)
		}
	}
	rest, query, ok := strings.Cut(rest, "?")
	if ok {
		if !uriText(query, uriAny) {
			return u, false
		}
		u.query = decoded(query)
	}
	if after, ok := strings.CutPrefix(rest, "//"); ok {
		end := strings.IndexByte(after, '/')
		if end < 0 {
			end = len(after)
		}
		authority := after[:end]
		rest = after[end:]
		if authority == "" && rest == "" && u.query == nil && u.fragment == nil || !uriText(authority, uriNames) {
			return u, false
		}
		u.setAuthority(authority)
	}
	u.path = decoded(rest)
	return u, uriText(rest, uriPath)
}

func isLetter(c byte) bool { return c|0x20 >= 'a' && c|0x20 <= 'z' }

// uriText reports whether s has letters, digits, escapes, characters beyond
// ASCII that are visible, and those of marks only.
func uriText(s, marks string) bool {
	for i, r := range s {
		switch {
		case r >= utf8.RuneSelf:
			if unicode.IsControl(r) || unicode.IsSpace(r) {
				return false
			}
		case r == '%':
			if len(s) < i+3 {
				return false
			}
			if _, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err != nil || s[i+1] == '+' {
				return false
			}
		case r >= '0' && r <= '9' || isLetter(byte(r)):
		case strings.IndexByte(marks, byte(r)) < 0:
			return false
		}
	}
	return true
}

func decoded(s string) *string {
	t, err := url.PathUnescape(s)
	if err != nil {
		t = s
	}
	t = strings.ToValidUTF8(t, "\uFFFD")
	return &t
}

// setAuthority takes [user@]host[:port] apart; anything else has no host.
func (u *uri) setAuthority(s string) {
	host := s[strings.LastIndexByte(s, '@')+1:]
	port := ""
	if i := strings.LastIndexByte(host, ':'); i >= 0 && i > strings.LastIndexByte(host, ']') {
		host, port = host[:i], host[i+1:]
	}
	n := -1
	if port != "" {
		p, err := strconv.ParseUint(port, 10, 31)
		if err != nil {
			return
		}
		n = int(p)
	}
	if hostName(host) {
		u.host, u.port = &host, n
	}
}

// hostName reports whether a host is a name, an IPv4 address or an IPv6
// address in brackets.
func hostName(s string) bool {
	if strings.HasPrefix(s, "[") {
		return strings.HasSuffix(s, "]") && strings.Count(s, ":") >= 2
	}
	labels := strings.Split(strings.TrimSuffix(s, "."), ".")
	for _, l := range labels {
		if l == "" || l[0] == '-' || l[len(l)-1] == '-' {
			return false
		}
		for i := range len(l) {
			if c := l[i]; !isLetter(c) && c != '-' && (c < '0' || c > '9') {
				return false
			}
		}
	}
	last := labels[len(labels)-1]
	return isLetter(last[0]) || len(labels) == 4 && last[0] >= '0' && last[0] <= '9'
}

// parameter returns the value of a parameter in the query: empty if it is named
// without one.
func (u *uri) parameter(name string) *string {
	if u.query == nil {
		return nil
	}
	for _, pair := range strings.Split(*u.query, "&") {
		if key, value, _ := strings.Cut(pair, "="); key == name {
			return &value
		}
	}
	return nil
}

// javaEscape escapes text as java.net.URLEncoder does.
func javaEscape(s string) string {
	return strings.NewReplacer("%2A", "*", "~", "%7E").Replace(url.QueryEscape(strings.ToValidUTF8(s, "?")))
}

func urlFunctions() []Def {
	def := func(name, description string, e Example, s Signature) Def {
		return Def{Name: name, Kind: Scalar, Category: CategoryURL, Description: description, Examples: []Example{e}, Signatures: []Signature{s}}
	}
	text := func(f func(s string) (string, bool)) Signature {
		return scalar("input STRING", types.String, stringKernel(func(c *Call, i int, buf []byte) ([]byte, bool) {
			s, ok := f(string(str(c, 0, i)))
			return append(buf, s...), ok
		}))
	}
	part := func(of func(u *uri) *string) Signature {
		return text(func(s string) (string, bool) {
			u, ok := parseURI(s)
			if p := of(&u); ok && p != nil {
				return *p, true
			}
			return "", false
		})
	}
	return []Def{
		def("URL_ENCODE_PARAM", "The text escaped for use in a URL's query.", Example{"URL_ENCODE_PARAM('a b&c')", "'a+b%26c'"}, text(func(s string) (string, bool) { return javaEscape(s), true })),
		def("URL_DECODE_PARAM", "The text that an escaped one stands for.", Example{"URL_DECODE_PARAM('a+b%26c')", "'a b&c'"}, text(func(s string) (string, bool) { t, err := url.QueryUnescape(s); return t, err == nil })),
		def("URL_EXTRACT_PROTOCOL", "The protocol of a URL.", Example{"URL_EXTRACT_PROTOCOL('https://karst.dev')", "'https'"}, part(func(u *uri) *string { return u.scheme })),
		def("URL_EXTRACT_HOST", "The host of a URL.", Example{"URL_EXTRACT_HOST('http://karst.dev:80/x')", "'karst.dev'"}, part(func(u *uri) *string { return u.host })),
		def("URL_EXTRACT_PATH", "The path of a URL, decoded; empty if it has none.", Example{"URL_EXTRACT_PATH('http://karst.dev/x%20y?z')", "'/x y'"}, part(func(u *uri) *string { return u.path })),
		def("URL_EXTRACT_QUERY", "The query of a URL, decoded.", Example{"URL_EXTRACT_QUERY('http://karst.dev/?a=b%20c')", "'a=b c'"}, part(func(u *uri) *string { return u.query })),
		def("URL_EXTRACT_FRAGMENT", "The fragment of a URL, decoded.", Example{"URL_EXTRACT_FRAGMENT('http://karst.dev/#top')", "'top'"}, part(func(u *uri) *string { return u.fragment })),
		def("URL_EXTRACT_PORT", "The port of a URL, null if it names none.", Example{"URL_EXTRACT_PORT('http://karst.dev:8080/x')", "8080"},
			scalar("input STRING", types.Int, intKernel(func(c *Call, i int) (int32, bool) {
				u, ok := parseURI(string(str(c, 0, i)))
				return int32(u.port), ok && u.port >= 0
			}))),
		def("URL_EXTRACT_PARAMETER", "The value of a parameter in a URL's query, decoded: empty if it is named without one, null if it is not there.",
			Example{"URL_EXTRACT_PARAMETER('http://karst.dev/?a=b%20c&d=e', 'a')", "'b c'"},
			scalar("input STRING, paramToFind STRING", types.String, stringKernel(func(c *Call, i int, buf []byte) ([]byte, bool) {
				u, ok := parseURI(string(str(c, 0, i)))
				value := u.parameter(string(str(c, 1, i)))
				if !ok || value == nil {
					return nil, false
				}
				return append(buf, *value...), true
			}))),
	}
}
