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

// maxAnswer bounds what is read of a daemon's answer to a probe.
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

// probe asks GET /version. errRefused if nothing listens, errNotDaemon if
// something else does, errSilent if there is no answer in time, ctx's error if
// it ended; any other error leaves it open.
func probe(ctx context.Context, dial func(context.Context) (net.Conn, error)) (found, error) {
	start := time.Now()
	response, body, err := call(ctx, dial, http.MethodGet, "/version", "") //nolint:bodyclose // call has read and closed it
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

// call is one small request to a daemon.
func call(ctx context.Context, dial func(context.Context) (net.Conn, error), method, path, secret string) (*http.Response, []byte, error) {
	whole := ctx
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	c, err := dial(ctx)
	if err != nil {
		switch {
		case whole.Err() != nil:
			err = whole.Err()
		case errors.Is(err, syscall.ECONNREFUSED):
			err = fmt.Errorf("%w: %w", errRefused, err)
		}
		return nil, nil, err
	}
	defer c.Close()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	response, body, err := exchange(c, method, path, secret)
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

func exchange(c net.Conn, method, path, secret string) (*http.Response, []byte, error) {
	request := &http.Request{Method: method, URL: &url.URL{Path: path}, Host: "localhost", Header: http.Header{}, Close: true}
	if secret != "" {
		request.Header.Set(secretHeader, secret)
	}
	if err := request.Write(c); err != nil {
		return nil, nil, err
	}
	response, err := http.ReadResponse(bufio.NewReader(io.LimitReader(c, maxAnswer)), request)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	return response, body, err
}

// trusts asks a built-in daemon whether it knows our secret.
func trusts(ctx context.Context, dial func(context.Context) (net.Conn, error), secret string) error {
	response, _, err := call(ctx, dial, http.MethodGet, "/work-dir", secret) //nolint:bodyclose // call has read and closed it
	if err != nil {
		return err
	}
	if response.StatusCode == http.StatusUnauthorized {
		return errSecret
	}
	return nil
}
