package inject

import (
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestTheBuildForAnotherPlatformStandsBesideTheProgram(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	own := filepath.Join(folder, "daemon-proxy")
	other := "arm64"
	if runtime.GOARCH == other {
		other = "amd64"
	}
	require.Equal(t, own, BuiltIn(own, "linux/"+other), "where there is none, the mismatch is named")
	beside := filepath.Join(folder, "daemon-proxy-linux-"+other)
	require.NoError(t, os.WriteFile(beside, nil, 0o600))
	require.Equal(t, beside, BuiltIn(own, "linux/"+other))
	require.Equal(t, beside, BuiltIn(own, "linux/"+other+"/v8"))
	require.Equal(t, own, BuiltIn(own, runtime.GOOS+"/"+runtime.GOARCH))
	require.Equal(t, own, BuiltIn(own, "linux/s390x"))
	require.Equal(t, own, BuiltIn(own, ""))
}
