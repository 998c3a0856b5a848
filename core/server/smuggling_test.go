package server

import (
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/wiretest"
)

// counting is a daemon that reads whole requests, as RFC 9112 reads them, keeps
// their heads and bodies, and answers each.
func counting(t testing.TB) *wiretest.Server {
	t.Helper()
	return wiretest.Raw(t, func(_ int, c *wiretest.Conn) {
		for {
			head, err := c.Head()
			if err != nil {
				return
			}
			body := ""
			if lengths := wiretest.Values(head, "Content-Length"); len(lengths) == 1 {
				n := 0
				for _, digit := range lengths[0] {
					n = n*10 + int(digit-'0')
				}
				b := make([]byte, n)
				if _, err := io.ReadFull(c.Reader, b); err != nil {
					return
				}
				body = string(b)
			} else if len(wiretest.Values(head, "Transfer-Encoding")) == 1 {
				for !strings.HasSuffix(body, "0\r\n\r\n") {
					line, err := c.Reader.ReadString('\n')
					if err != nil {
						return
					}
					body += line
				}
			}
			c.Server.Keep(head + "\r\n" + body)
			if _, err := io.WriteString(c.TCPConn, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"); err != nil {
				return
			}
		}
	})
}

// fate is how many requests the service may see of one that a test sends with
// another behind it on the connection.
type fate int

const (
	refused fate = iota // none
	last                // it, but nothing that follows: where it ends could be disputed
	plain               // it and the one behind it
)

func TestS7P15NothingIsSmuggled(t *testing.T) {
	t.Parallel()
	const inner = "GET /preview/TOKEN/smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
	for name, test := range map[string]struct {
		request string // {t}: the target, {h}: the host
		fate    fate
	}{
		"two lengths that differ":            {"POST {t} HTTP/1.1\r\nHost: {h}\r\nContent-Length: 0\r\nContent-Length: 49\r\n\r\n" + inner, refused},
		"two lengths in one line":            {"POST {t} HTTP/1.1\r\nHost: {h}\r\nContent-Length: 0, 49\r\n\r\n" + inner, refused},
		"the same length twice":              {"POST {t} HTTP/1.1\r\nHost: {h}\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\nab", plain},
		"a length with a sign":               {"POST {t} HTTP/1.1\r\nHost: {h}\r\nContent-Length: +2\r\n\r\nab", refused},
		"length and chunks":                  {"POST {t} HTTP/1.1\r\nHost: {h}\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n", last},
		"a space before the colon":           {"POST {t} HTTP/1.1\r\nHost: {h}\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n" + inner, refused},
		"a space in the length":              {"POST {t} HTTP/1.1\r\nHost: {h}\r\nContent-Length : 2\r\n\r\nab", refused},
		"length and chunks, kept alive":      {"POST {t} HTTP/1.1\r\nHost: {h}\r\ncontent-length: 5\r\nTransfer-Encoding: chunked\r\nConnection: keep-alive\r\n\r\n0\r\n\r\n", last},
		"chunks and a length":                {"POST {t} HTTP/1.1\r\nHost: {h}\r\nTransfer-Encoding: chunked\r\nContent-Length: 49\r\n\r\n0\r\n\r\n" + inner, last},
		"two lengths and chunks":             {"POST {t} HTTP/1.1\r\nHost: {h}\r\nContent-Length: 5\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", last},
		"chunks in HTTP/1.0 that stays open": {"POST {t} HTTP/1.0\r\nHost: {h}\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner, last},
		"chunks and a length in HTTP/1.0":    {"POST {t} HTTP/1.0\r\nHost: {h}\r\nConnection: keep-alive\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner, last},
		"an unknown coding":                  {"POST {t} HTTP/1.1\r\nHost: {h}\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + inner, refused},
		"two codings":                        {"POST {t} HTTP/1.1\r\nHost: {h}\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n", refused},
		"a coding in a list":                 {"POST {t} HTTP/1.1\r\nHost: {h}\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", refused},
		"a vertical tab in a coding":         {"POST {t} HTTP/1.1\r\nHost: {h}\r\nTransfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", refused},
		"bare LF":                            {"GET {t} HTTP/1.1\nHost: {h}\nX: a\n\n", plain},
		"bare CR":                            {"GET {t} HTTP/1.1\r\nHost: {h}\r\nX: a\rY: b\r\n\r\n", refused},
		"a folded header":                    {"GET {t} HTTP/1.1\r\nHost: {h}\r\nX: a\r\n b\r\n\r\n", plain},
		"a folded coding":                    {"POST {t} HTTP/1.1\r\nHost: {h}\r\nX: a\r\n Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\nab", plain},
		"a NUL in a value":                   {"GET {t} HTTP/1.1\r\nHost: {h}\r\nX: a\x00b\r\n\r\n", refused},
		"a NUL in a name":                    {"GET {t} HTTP/1.1\r\nHost: {h}\r\nX\x00: a\r\n\r\n", refused},
		"a NUL in the target":                {"GET {t}\x00 HTTP/1.1\r\nHost: {h}\r\n\r\n", refused},
		"two Hosts":                          {"GET {t} HTTP/1.1\r\nHost: {h}\r\nHost: evil.example\r\n\r\n", refused},
		"no Host":                            {"GET {t} HTTP/1.1\r\n\r\n", refused},
		"a header without a colon":           {"GET {t} HTTP/1.1\r\nHost: {h}\r\nnonsense\r\n\r\n", refused},
		"a space before a name":              {"GET {t} HTTP/1.1\r\n X: a\r\nHost: {h}\r\n\r\n", refused},
		"a space in the target":              {"GET {t} x HTTP/1.1\r\nHost: {h}\r\n\r\n", refused},
		"a bad chunk size":                   {"POST {t} HTTP/1.1\r\nHost: {h}\r\nTransfer-Encoding: chunked\r\n\r\n0x2\r\nab\r\n0\r\n\r\n", refused},
		"a chunk that is too long":           {"POST {t} HTTP/1.1\r\nHost: {h}\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabcd\r\n0\r\n\r\n", refused},
		"a huge chunk size":                  {"POST {t} HTTP/1.1\r\nHost: {h}\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nab\r\n0\r\n\r\n", refused},
		"a body that a GET carries":          {"GET {t} HTTP/1.1\r\nHost: {h}\r\nContent-Length: 2\r\n\r\nab", plain},
		"chunks in HTTP/1.0":                 {"POST {t} HTTP/1.0\r\nHost: {h}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", last},
		"CR LF that is encoded":              {"GET {t}%0d%0aX:%20y HTTP/1.1\r\nHost: {h}\r\n\r\n", plain},
		"another version of HTTP":            {"GET {t} HTTP/1.2\r\nHost: {h}\r\n\r\n", plain},
		"a version that is none":             {"GET {t} HTTP/x\r\nHost: {h}\r\n\r\n", refused},
		"a lower-case version":               {"GET {t} http/1.1\r\nHost: {h}\r\n\r\n", refused},
		"a body after an upgrade":            {"GET {t} HTTP/1.1\r\nHost: {h}\r\n" + upgradeHeaders + "Content-Length: 2\r\n\r\nab", plain},
		"a length that Connection cuts":      {"POST {t} HTTP/1.1\r\nHost: {h}\r\nConnection: Content-Length\r\nContent-Length: 2\r\n\r\nab", plain},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d := counting(t)
			f := newFront(t, d.Addr)
			for _, m := range f.modes(f.link(3000)) {
				c := f.dial()
				behind := request("GET", m.prefix+"/behind", m.host, "Connection: close\r\n")
				c.Send(strings.NewReplacer("{t}", m.prefix+"/outer", "{h}", m.host).Replace(test.request) + behind)
				first := c.Answer("GET")
				if test.fate == refused {
					require.Regexp(t, `^(4\d\d|50[15]) `, first.Status, m.name)
				}
				_, err := io.Copy(io.Discard, c.Reader)
				require.NoError(t, ended(err), m.name)
				seen := d.Heads()
				if test.fate == plain {
					require.Len(t, seen, 2, m.name)
					require.Equal(t, "/proxy/3000/behind", target(t, seen[1]), m.name)
					seen = seen[:1]
				}
				require.LessOrEqual(t, len(seen), min(int(test.fate), 1), "%s: %q", m.name, seen)
				for _, one := range seen {
					require.Contains(t, target(t, one), "/outer")
					head, _, _ := strings.Cut(one, "\r\n\r\n")
					require.LessOrEqual(t, len(wiretest.Values(head, "Content-Length"))+len(wiretest.Values(head, "Transfer-Encoding")), 1, one)
					require.Len(t, wiretest.Values(head, "Host"), 1)
					require.NotContains(t, strings.ReplaceAll(head, "\r\n", ""), "\n")
					require.NotContains(t, head, "\x00")
				}
			}
		})
	}
}

func TestS7WhatFollowsARequestIsTheNextOne(t *testing.T) {
	t.Parallel()
	d := counting(t)
	f := newFront(t, d.Addr)
	m := f.modes(f.link(3000))[0]
	c := f.dial()
	c.Send("POST " + m.prefix + "/a HTTP/1.1\r\nHost: " + m.host + "\r\nContent-Length: 2\r\n\r\nab" + request("GET", m.prefix+"/b", m.host, ""))
	require.Equal(t, 200, c.Answer("POST").StatusCode)
	require.Equal(t, 200, c.Answer("GET").StatusCode)
	seen := d.Heads()
	require.Len(t, seen, 2)
	require.Equal(t, "/proxy/3000/a", target(t, seen[0]))
	require.Equal(t, "/proxy/3000/b", target(t, seen[1]))
}
