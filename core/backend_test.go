package core

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/backendtest"
	"daemon-proxy/core/client"
	"daemon-proxy/core/wiretest"
)

func TestTheCoreAndItsClientAreTheSameService(t *testing.T) {
	t.Parallel()
	f := newFront(t, func(http.ResponseWriter, *http.Request) {})
	path := "/preview/" + f.link(f.port).Token
	for range 2 {
		require.Equal(t, 200, f.get(path+"/"))
	}
	f.latest()
	t.Run("core", func(t *testing.T) { backendtest.Run(t, f.Core) })
	t.Run("client", func(t *testing.T) {
		c, err := client.New(f.URL(), client.WithHTTPClient(wiretest.Client(t)))
		require.NoError(t, err)
		backendtest.Run(t, c)
	})
}
