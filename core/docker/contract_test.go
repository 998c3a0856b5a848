package docker_test

import (
	"testing"

	"daemon-proxy/core/docker"
	"daemon-proxy/core/docker/enginetest"
	"daemon-proxy/core/sandbox/source/sourcetest"
)

func TestContractOfASource(t *testing.T) { sourcetest.Run(t, world(t, enginetest.Require(t))) }

// world makes its containers on the engine that enginetest uses.
func world(t *testing.T, e *docker.Engine) sourcetest.World {
	image := enginetest.Busybox(t)
	return sourcetest.World{
		Source: e,
		Start: func(t *testing.T, command ...string) string {
			return enginetest.Run(t, image, enginetest.RunOptions{Cmd: command})
		},
		Pause: enginetest.Pause, Unpause: enginetest.Unpause, Restart: enginetest.Restart, Remove: enginetest.Remove,
	}
}
