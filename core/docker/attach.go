package docker

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/containerd/errdefs/pkg/errhttp"
)

// maxErrorBody bounds the error document of the engine.
const maxErrorBody = 64 << 10

// attach starts a created exec and takes over the connection, from whose reader
// the engine's stream comes.
func (e *Engine) attach(ctx context.Context, execID string, tty bool) (net.Conn, io.Reader, error) {
	return e.hijack(ctx, e.apiURL("/exec/"+execID+"/start"), map[string]bool{"Detach": false, "Tty": tty})
}

// hijack posts a request that the engine answers with a stream, and takes over
// its connection. The client's own function ignores ctx while it waits for the
// answer and drops an error's text.
func (e *Engine) hijack(ctx context.Context, url string, body any) (net.Conn, io.Reader, error) {
	conn, err := e.connect(ctx)
	if err != nil {
		return nil, nil, err
	}
	// A deadline in the past ends reads and writes that are under way.
	stop := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Unix(1, 0)) })
	stream, err := upgrade(conn, url, body)
	if !stop() || err != nil {
		_ = conn.Close() // the first error counts
		if ctx.Err() != nil {
			err = ctx.Err()
		}
		return nil, nil, err
	}
	return conn, stream, nil
}

// connect opens a connection of its own to the engine, TLS included.
func (e *Engine) connect(ctx context.Context) (net.Conn, error) {
	conn, err := e.dial(ctx)
	if err != nil || e.at.tls == nil {
		return conn, err
	}
	config := e.at.tls.Clone()
	if config.ServerName == "" {
		config.ServerName, _, _ = net.SplitHostPort(strings.TrimPrefix(e.at.host, "tcp://"))
	}
	secure := tls.Client(conn, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = conn.Close()
		return nil, &dialError{cause: err}
	}
	return secure, nil
}

// upgrade sends the request and reads the head of the answer; the process's
// output follows it.
func upgrade(conn net.Conn, url string, body any) (io.Reader, error) {
	var raw []byte
	if body != nil { // to Podman, the body of some requests is a part of the stream
		var err error
		if raw, err = json.Marshal(body); err != nil {
			return nil, err
		}
	}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodPost, url, bytes.NewReader(raw))
	if err != nil {
		return nil, err
	}
	req.Host = "docker"
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Connection", "Upgrade")
	req.Header.Set("Upgrade", "tcp")
	if err := req.Write(conn); err != nil {
		return nil, &dialError{cause: err}
	}
	buffered := bufio.NewReader(conn)
	resp, err := http.ReadResponse(buffered, req)
	if err != nil {
		return nil, &dialError{cause: err}
	}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return buffered, nil
	}
	defer func() { _ = resp.Body.Close() }()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	if err != nil {
		return nil, err
	}
	var message struct{ Message string }
	if json.Unmarshal(text, &message) != nil || message.Message == "" {
		message.Message = strings.TrimSpace(string(text))
	}
	return nil, fmt.Errorf("attach: %s: %w", message.Message, errhttp.ToNative(resp.StatusCode))
}
