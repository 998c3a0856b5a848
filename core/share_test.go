package core

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/client"
	"daemon-proxy/core/wiretest"
)

func TestS73ALinkIsSharedForAsLongAsItsClientIsConnected(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(f *front, link api.Link, conn net.Conn, cancel func()){
		"the client":     func(_ *front, _ api.Link, _ net.Conn, cancel func()) { cancel() },
		"the connection": func(_ *front, _ api.Link, conn net.Conn, _ func()) { conn.Close() },
		"the link": func(f *front, link api.Link, _ net.Conn, _ func()) {
			require.NoError(f.t, f.RevokeLink(f.t.Context(), link.Token))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := newFront(t, func(http.ResponseWriter, *http.Request) {})
			link := f.link(f.port, 3600)
			var conn net.Conn
			transport := &http.Transport{DialContext: func(ctx context.Context, network, address string) (_ net.Conn, err error) {
				var d net.Dialer
				conn, err = d.DialContext(ctx, network, address)
				return conn, err
			}}
			far, err := client.New(f.URL(), client.WithHTTPClient(&http.Client{Transport: transport}), client.WithAPIKey(f.Key()))
			require.NoError(t, err)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			share, err := far.Share(ctx, link.ID)
			if p, ok := errors.AsType[*api.Problem](err); ok && p.Code == api.CodeNoNetwork {
				wiretest.Skip(t, p.Detail)
			}
			require.NoError(t, err)
			require.True(t, link.ExpiresAt.Equal(share.Expires))
			require.True(t, strings.HasSuffix(share.URL, "/preview/"+link.Token+"/"))
			served := func() bool {
				c, err := net.Dial("tcp", strings.Split(share.URL, "/")[2])
				if err == nil {
					c.Close()
				}
				return err == nil
			}
			require.True(t, served())
			end(f, link, conn, cancel)
			require.Eventually(t, func() bool { return !served() }, soon, look)
		})
	}
}
