package proxy

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"syscall"
	"time"
)

// upstreamBuffer is the read buffer of a connection: room for a usual head and
// a small body. Larger reads bypass it.
const upstreamBuffer = 8 << 10

// maxTrailerBytes bounds the trailer section of an answer.
const maxTrailerBytes = 64 << 10

// lineCost is what a line of a head costs beside its bytes, about what it takes
// in memory: otherwise 1 MiB of short lines would take 30.
const lineCost = 256

// descriptorRetry is how long to wait before dialling again if there was no descriptor.
const descriptorRetry = 50 * time.Millisecond

var errHeadTooLarge = errors.New("the head of the answer is too large")

// upstream is one connection to a daemon.
type upstream struct {
	net.Conn
	key string // Target.Pool
	br  *bufio.Reader
	src source

	used      bool // has carried an exchange before
	checked   bool // quiet was able to check the socket
	probe     *probe
	idleSince time.Time
}

// quiet reports whether an idle connection can still be used. It also returns
// true if that is unknown; see checked.
func (u *upstream) quiet() bool {
	quiet, known := u.probe.quietNow()
	u.checked = known
	return quiet
}

// source is what the buffered reader of an upstream reads from.
type source struct {
	conn net.Conn
	// limit is how many bytes of a head may still be read, where each line
	// counts lineCost more; negative: any number.
	limit int64
	// answered is set by the first byte that arrives in an exchange.
	answered bool
	// failed is why nothing more can be read; nil while reading is possible.
	failed error
	// pause is called before each read that may have to wait, if not nil: the
	// moment to flush what has been written.
	pause func()
}

func (s *source) Read(p []byte) (int, error) {
	if s.pause != nil {
		s.pause()
	}
	if s.limit >= 0 && int64(len(p)) > s.limit {
		if s.limit == 0 {
			s.failed = errHeadTooLarge
			return 0, errHeadTooLarge
		}
		p = p[:s.limit]
	}
	n, err := s.conn.Read(p)
	if n > 0 {
		s.answered = true
		if s.limit >= 0 {
			// Should a body have begun in p, its lines count too late to matter.
			s.limit = max(0, s.limit-int64(n)-lineCost*int64(bytes.Count(p[:n], []byte{'\n'})))
		}
	}
	if err != nil {
		s.failed = err
	}
	return n, err
}

// connect takes an idle connection for t, or dials one. A request that must
// not be sent twice only gets an idle one that was seen to be alive.
func (p *Proxy) connect(ctx context.Context, t *Target, fresh, repeatable bool) (*upstream, error) {
	if t.Pool != "" && !fresh {
		for u := p.idle.get(t.Pool); u != nil; u = p.idle.get(t.Pool) {
			if repeatable || u.checked {
				u.src.answered = false
				return u, nil
			}
			u.Close()
		}
	}
	dctx, cancel := context.WithTimeout(ctx, orDefault(t.DialTimeout, p.opts.DialTimeout))
	defer cancel()
	conn, err := dial(dctx, t.Dial)
	if err != nil {
		return nil, err
	}
	u := &upstream{Conn: conn, key: t.Pool, src: source{conn: conn, limit: -1}, probe: newProbe(conn)}
	u.br = bufio.NewReaderSize(&u.src, upstreamBuffer)
	return u, nil
}

// dial is a connection made by connect. While the process or the machine has no
// descriptor for it, it waits: others are being closed at any moment.
func dial(ctx context.Context, connect func(context.Context) (net.Conn, error)) (net.Conn, error) {
	for {
		conn, err := connect(ctx)
		if !errors.Is(err, syscall.EMFILE) && !errors.Is(err, syscall.ENFILE) {
			return conn, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(descriptorRetry):
		}
	}
}

// readHead reads the next head of an answer to a request of that method.
func (u *upstream) readHead(r *http.Request) (*http.Response, error) {
	resp, err := readAnswerHead(u.br, r.Method)
	if u.src.failed != nil && err != nil {
		return nil, cutShort(u.src.failed) // what there is of a line may look malformed
	}
	if err != nil {
		return nil, err
	}
	if resp.ProtoMajor != 1 || resp.StatusCode < 100 {
		return nil, errBadStatusLine
	}
	return resp, nil
}

var errBadStatusLine = errors.New("not an HTTP/1.x status line")
