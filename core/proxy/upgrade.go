package proxy

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"time"

	"golang.org/x/net/http/httpguts"

	"daemon-proxy/core/api"
)

var errOtherUpgrade = errors.New("it switches to a protocol other than websocket")

// upgrade takes over the client's connection for Result.Tunnel, which begins
// with the 101. Whether the handshake is right (Sec-WebSocket-Accept) is for
// the client to judge. An error is an *api.Problem, and then nothing was written.
func (x *exchange) upgrade(resp *http.Response) error {
	up := x.up
	if !httpguts.HeaderValuesContainsToken(resp.Header["Upgrade"], "websocket") {
		up.Close()
		return badUpstream(errOtherUpgrade)
	}
	h := make(http.Header, len(resp.Header))
	maps.Copy(h, x.client.Header())
	incoming(h, resp.Header)
	if x.t.Response != nil {
		x.t.Response(resp.StatusCode, h)
	}
	head, err := appendHeader([]byte("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: "+
		"websocket\r\n"), h)
	if err != nil {
		up.Close()
		return badUpstream(err)
	}
	head = append(head, "\r\n"...)

	if !x.proxy.beginTunnel() {
		up.Close()
		x.fail(ErrGoingAway)
		return x.failureProblem()
	}
	client, early, err := x.client.Hijack()
	if err != nil {
		x.proxy.tunnels.Done()
		up.Close()
		return api.NewProblem(api.CodeInternal,
			"the client's connection cannot carry a WebSocket: "+err.Error(), "connect with HTTP/1.1").Because(err)
	}
	x.result.Status = http.StatusSwitchingProtocols
	x.result.Protocol = "websocket"

	// What either side sent along with the handshake is in the buffers.
	answer, _ := up.br.Peek(up.br.Buffered())
	tun := &tunnel{
		proxy: x.proxy,
		in:    flow{src: client, dst: up.Conn, masked: true, early: early, tap: x.t.TunnelIn},
		out:   flow{src: up.Conn, dst: client, head: head, early: answer, tap: x.t.TunnelOut},
	}
	proxy, start, result := x.proxy, x.start, x.result // x holds what an idle WebSocket does not need
	x.result.Tunnel = func(ctx context.Context) Result {
		defer proxy.tunnels.Done()
		result.Err = tun.run(ctx)
		result.BytesIn, result.BytesOut = tun.in.n, tun.out.n
		proxy.log.Debug("websocket ended", "duration", time.Since(start), "error", result.Err)
		return result
	}
	return nil
}
