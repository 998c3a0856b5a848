package logging

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"
)

// Not parallel: it counts what is allocated.
func TestTheEndOfALongLogIsReadAlone(t *testing.T) {
	file := filepath.Join(t.TempDir(), "long.log")
	line := append(bytes.Repeat([]byte("x"), 1023), '\n')
	require.NoError(t, os.WriteFile(file, append(bytes.Repeat(line, 64<<10), "the last\n"...), 0o600))
	allocated := func() uint64 {
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.TotalAlloc
	}
	before := allocated()
	r, err := Tail(t.Context(), file, 2, false)
	require.NoError(t, err)
	defer r.Close()
	text, err := io.ReadAll(r)
	require.NoError(t, err)
	require.Equal(t, string(line)+"the last\n", string(text))
	require.Less(t, allocated()-before, uint64(16<<20), "of 64 MiB one is read")
}
