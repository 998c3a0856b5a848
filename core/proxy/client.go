package proxy

import (
	"io"
	"net"
	"net/http"
	"time"
)

// client is the client's side of one exchange: all that Forward needs of the
// server it runs in, apart from the *http.Request. httpClient implements it on
// net/http; an HTTP/1.1 server of our own would be another implementation.
//
// The methods belong to the handler's goroutine, except WriteInterim, which
// exchange.heads protects, and the deadlines and ResetOnClose, which may be
// called from any.
type client interface {
	// Header is the header of the final answer. It already holds what the caller
	// of Forward has set, and may be changed until WriteHeader.
	Header() http.Header
	// WriteInterim sends an interim (1xx) head with h and nothing of Header.
	WriteInterim(status int, h http.Header)
	// WriteHeader sends the final head: status and Header.
	WriteHeader(status int)
	// Write sends a part of the body. It may be held back until Flush.
	io.Writer
	// ReadFrom is Write for all that comes from a reader. Where both ends are
	// sockets, the bytes stay in the kernel. Call Flush first: the head may
	// otherwise wait for the first byte.
	io.ReaderFrom
	Flush()
	// WriteTrailer ends the body with a trailer section. The announced fields
	// were named in the Trailer header; a nil trailer means that none arrived.
	WriteTrailer(announced, trailer http.Header)

	// SetReadDeadline and SetWriteDeadline are those of net.Conn.
	SetReadDeadline(t time.Time) error
	SetWriteDeadline(t time.Time) error
	// EnableFullDuplex allows the answer to begin before the request body has ended.
	EnableFullDuplex()
	// Hijack takes over the connection, with what was already read from it. The
	// caller closes it.
	Hijack() (conn net.Conn, early []byte, err error)

	// CloseAfter makes the server close the connection after the answer, gently:
	// the rest of the request body is discarded for drainTime, so that the client
	// can read the answer.
	CloseAfter()
	// ResetOnClose makes the end of the connection a reset.
	ResetOnClose()
	// Cut ends an answer that is incomplete, so that the client can tell: it sends
	// what has been written, unless the client does not read, and then closes the
	// connection (HTTP/2: resets the stream).
	Cut()
	// socket is nil if the client's socket is unknown.
	socket() *socket
}
