package main

import (
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// imports are all packages of the program that are not the standard library's. Think
// of its size, at most 6.5 MB, before you add one.
var imports = []string{
	"daemon-proxy/cmd/toolbox", "daemon-proxy/core/api", "daemon-proxy/core/carrier", "daemon-proxy/core/daemon",
	"daemon-proxy/core/demo", "daemon-proxy/core/echo", "daemon-proxy/core/logging", "daemon-proxy/core/mux", "daemon-proxy/core/proxy",
	"daemon-proxy/core/reach", "daemon-proxy/core/toolbox", "daemon-proxy/core/version", "daemon-proxy/core/wsframe",
	"github.com/coder/websocket", "github.com/coder/websocket/internal/bpool",
	"github.com/coder/websocket/internal/errd", "github.com/coder/websocket/internal/util",
	"github.com/libp2p/go-buffer-pool", "github.com/libp2p/go-yamux/v5",
	"golang.org/x/net/http/httpguts", "golang.org/x/net/idna", "golang.org/x/sys/unix",
	"golang.org/x/text/secure/bidirule", "golang.org/x/text/transform", "golang.org/x/text/unicode/bidi",
	"golang.org/x/text/unicode/norm",
	"gopkg.in/natefinch/lumberjack.v2",
}

func TestTheProgramInsideImportsNothingElse(t *testing.T) {
	t.Parallel()
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", "{{if not .Standard}}{{.ImportPath}}{{end}}", ".")
	list.Env = append(list.Environ(), "GOOS=linux", "CGO_ENABLED=0")
	out, err := list.Output()
	require.NoError(t, err)
	found := strings.Fields(string(out))
	slices.Sort(found)
	require.Equal(t, imports, found)
}

func TestOnlyTheCommandsOfTheInsideAreKnown(t *testing.T) {
	t.Parallel()
	require.ErrorContains(t, run(t.Context(), nil), "not meant to be started by hand")
	require.ErrorContains(t, run(t.Context(), []string{"toolbox", "bridge", "--more"}), `unexpected argument "bridge"`)
	require.ErrorContains(t, run(t.Context(), []string{"toolbox", "--unknown"}), "unknown")
	require.ErrorContains(t, run(t.Context(), []string{"toolbox"}), "DAEMON_PROXY_SECRET")
}
