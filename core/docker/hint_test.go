package docker

import (
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/sandbox/source"
)

func TestHintsAreDockerCommands(t *testing.T) {
	t.Parallel()
	e := open(t, Options{Host: "unix:///s"})
	require.Equal(t, "docker version", e.Hint(source.HintCheck, ""))
	require.Equal(t, "docker logs box", e.Hint(source.HintLogs, "box"))
	require.Equal(t, "docker network connect bridge box", e.Hint(source.HintConnect, "box"))
}
