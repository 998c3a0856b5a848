package docker_test

import (
	"testing"

	"daemon-proxy/core/docker/enginetest"
	"daemon-proxy/core/sandbox/source/sourcetest"
)

func TestB20ContractOfASourceOnPodman(t *testing.T) {
	sourcetest.Run(t, world(t, enginetest.Podman(t)))
}
