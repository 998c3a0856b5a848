package docker_test

import (
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/docker/enginetest"
)

func TestCopyIntoWhatIsMissingOrReadOnlyFails(t *testing.T) {
	t.Parallel()
	e := enginetest.Require(t)
	id := enginetest.Run(t, enginetest.Busybox(t), enginetest.RunOptions{ReadOnly: true})
	require.ErrorIs(t, e.CopyIn(t.Context(), id, "/no/where", strings.NewReader("")), fs.ErrNotExist)
	require.ErrorIs(t, e.CopyIn(t.Context(), id, "/bin", strings.NewReader("")), syscall.EROFS)
}
