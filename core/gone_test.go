//go:build linux

package core

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/api"
	"daemon-proxy/core/docker/enginetest"
)

// endless is a service with an answer that never ends, one that never comes,
// and one that does.
const endless = `package main

import (
	"fmt"
	"net/http"
)

func main() {
	http.HandleFunc("/flood", func(w http.ResponseWriter, r *http.Request) {
		for piece := make([]byte, 64<<10); ; {
			if _, err := w.Write(piece); err != nil {
				return
			}
		}
	})
	http.HandleFunc("/wait", func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "{}") })
	fmt.Println(http.ListenAndServe("127.0.0.1:3000", nil))
}`

// A dead container's network answers nothing, not even with a reset: who waits
// there is told by what the engine or the health says.
func TestP20WhatWaitsForADeadContainerEnds(t *testing.T) {
	t.Parallel()
	service := enginetest.StaticGoSource(t, endless)
	program := enginetest.StaticGo(t, "daemon-proxy/cmd/toolbox")
	for how, die := range map[string]func(t testing.TB, network, id string){
		"killed":       func(t testing.TB, _, id string) { enginetest.Kill(t, id, "KILL") },
		"disconnected": enginetest.Disconnect,
		"restarted":    func(t testing.TB, _, id string) { enginetest.Restart(t, id) },
	} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			network, name := enginetest.Network(t, ""), enginetest.Name(t)
			image := enginetest.Import(t, map[string]enginetest.File{"/s": {Path: service}}, []string{`CMD ["/s"]`})
			id := enginetest.Run(t, image, enginetest.RunOptions{Name: name, Network: network})
			real := enginetest.Require(t)
			c := started(t, func(o *Options) {
				o.Config.Docker.Host, o.Executable, o.Config.Daemon.Mode = real.Endpoint(), program, "docker"
			})
			ref := api.Ref{Engine: real.Name(), Name: name}
			require.Eventually(t, func() bool { return engineNow(t, c).State == "connected" }, soon, look)
			require.NoError(t, c.Inject(t.Context(), ref, nil))
			at, err := real.Inspect(t.Context(), id)
			require.NoError(t, err)
			path := "/sandboxes/" + name + "/proxy/3000"
			require.Eventually(t, func() bool { status, _ := get(t, c, path+"/"); return status == 200 }, soon, look)

			flood := request(t, c, path+"/flood")
			_, err = flood.ReadString('\n')
			require.NoError(t, err)
			waits := request(t, c, path+"/wait")
			_, _ = get(t, c, path+"/") // leaves an idle connection in the pool
			require.NotEmpty(t, connections(t, at.Addresses[0]))
			die(t, network, id)

			answer, err := http.ReadResponse(waits, nil)
			require.NoError(t, err, "a request that waits is answered")
			if how == "disconnected" || answer.StatusCode != http.StatusBadGateway { // the end of a process may still be told by its kernel
				require.Equal(t, http.StatusServiceUnavailable, answer.StatusCode)
			}
			_, err = io.Copy(io.Discard, flood) // only now does this client read on
			require.NoError(t, ignoreReset(err), "a stream ends")
			require.Eventually(t, func() bool { return len(connections(t, at.Addresses[0])) == 0 }, soon, look, "a connection to the dead place stays")
		})
	}
}

// request opens a connection and sends a request; reads on it end in time.
func request(t *testing.T, c *Core, path string) *bufio.Reader {
	t.Helper()
	conn, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", c.options.Config.Server.Port))
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second))) // far less than TCP waits
	_, err = io.WriteString(conn, "GET "+path+" HTTP/1.1\r\nHost: localhost\r\n\r\n")
	require.NoError(t, err)
	return bufio.NewReader(conn)
}

// connections are the established connections of this machine to an address.
func connections(t *testing.T, address string) (found []string) {
	t.Helper()
	table, err := os.ReadFile("/proc/net/tcp")
	require.NoError(t, err)
	ip := net.ParseIP(address).To4()
	remote := fmt.Sprintf("%02X%02X%02X%02X:%04X", ip[3], ip[2], ip[1], ip[0], 2280)
	for _, line := range strings.Split(string(table), "\n") {
		if fields := strings.Fields(line); len(fields) > 3 && fields[2] == remote && fields[3] == "01" {
			found = append(found, line)
		}
	}
	return found
}
