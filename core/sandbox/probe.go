package sandbox

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"syscall"
	"time"
)

// probeTimeout bounds one call on a daemon.
const probeTimeout = time.Second

// maxAnswer bounds what is read of a daemon's answers on one connection.
const maxAnswer = 1 << 20

// found is what answered at the daemon's port.
type found struct {
	kind, version string
	latency       time.Duration
	began         time.Time // zero: not known
}

var (
	errRefused   = errors.New("nothing listens there")
	errNotDaemon = errors.New("what listens there is not a daemon")
	errSilent    = errors.New("what listens there does not answer")
	errSecret    = errors.New("the daemon does not know our secret")
)

// visit is one connection to what may be a daemon.
type visit struct {
	conn net.Conn
	r    *bufio.Reader
}

// open connects; the errors are errRefused, ctx's and others.
func open(ctx context.Context, dial func(context.Context) (net.Conn, error)) (*visit, error) {
	dialling, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	c, err := dial(dialling)
	switch {
	case err == nil:
		return &visit{c, bufio.NewReader(io.LimitReader(c, maxAnswer))}, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil, fmt.Errorf("%w: %w", errRefused, err)
	}
	return nil, err
}

// visit connects to the daemon's port at an address.
func (s *Sandboxes) visit(ctx context.Context, address string) (*visit, error) {
	return open(ctx, s.dialler(address))
}

func (v *visit) close() { _ = v.conn.Close() }

// probe asks GET /version on a connection of its own. The errors are those of
// open and of version.
func probe(ctx context.Context, dial func(context.Context) (net.Conn, error)) (found, error) {
	v, err := open(ctx, dial)
	if err != nil {
		return found{}, err
	}
	defer v.close()
	return v.version(ctx)
}

// version asks GET /version. errNotDaemon if something else answers, errSilent
// if there is no answer in time, ctx's error if it ended.
func (v *visit) version(ctx context.Context) (found, error) {
	start := time.Now()
	response, body, err := v.ask(ctx, http.MethodGet, "/version", "") //nolint:bodyclose // ask has read and closed it
	if err != nil {
		return found{}, err
	}
	var answer struct {
		Version string
		Uptime  float64 `json:"uptime_seconds"` // the built-in daemon's
	}
	if response.StatusCode != http.StatusOK || json.Unmarshal(body, &answer) != nil || answer.Version == "" {
		return found{}, fmt.Errorf("%w: GET /version answers %d", errNotDaemon, response.StatusCode)
	}
	f := found{kind: kindDaytona, version: answer.Version, latency: time.Since(start)}
	if response.Header.Get("Server") == serverName {
		f.kind = kindBuiltIn
	}
	if answer.Uptime > 0 {
		f.began = time.Now().Add(-time.Duration(answer.Uptime * float64(time.Second)))
	}
	return f, nil
}

// call is one small request to a daemon on a connection of its own.
func call(ctx context.Context, dial func(context.Context) (net.Conn, error), method, path, secret string) (*http.Response, []byte, error) {
	v, err := open(ctx, dial)
	if err != nil {
		return nil, nil, err
	}
	defer v.close()
	return v.ask(ctx, method, path, secret)
}

// ask is one small request; secret goes along if it is not empty.
func (v *visit) ask(ctx context.Context, method, path, secret string) (*http.Response, []byte, error) {
	whole := ctx
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	defer context.AfterFunc(ctx, func() { _ = v.conn.SetDeadline(time.Unix(1, 0)) })()
	response, body, err := v.exchange(method, path, secret)
	switch {
	case err == nil:
		return response, body, nil
	case whole.Err() != nil:
		return nil, nil, whole.Err()
	case ctx.Err() != nil:
		return nil, nil, fmt.Errorf("%w within %v", errSilent, probeTimeout)
	}
	return nil, nil, fmt.Errorf("%w: %w", errNotDaemon, err)
}

func (v *visit) exchange(method, path, secret string) (*http.Response, []byte, error) {
	request := &http.Request{Method: method, URL: &url.URL{Path: path}, Host: "localhost", Header: http.Header{}}
	if secret != "" {
		request.Header.Set(secretHeader, secret)
	}
	if err := request.Write(v.conn); err != nil {
		return nil, nil, err
	}
	response, err := http.ReadResponse(v.r, request)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response, body, err
}
