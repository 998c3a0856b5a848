package version

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestVersionsAreShort(t *testing.T) {
	t.Parallel()
	for module, want := range map[string]string{
		"": "devel", "(devel)": "devel", "v1.2.3": "v1.2.3", "v1.2.3-rc.1": "v1.2.3-rc.1", "v1.2.3+dirty": "v1.2.3+dirty",
		"v0.0.0-20261125022030-58cb0d995172":        "devel-58cb0d9",
		"v1.2.4-0.20261125022030-58cb0d995172":      "devel-58cb0d9",
		"v0.0.0-20261125022030-58cb0d995172+dirty":  "devel-58cb0d9+dirty",
		"v1.2.3-rc.1.0.20261125022030-58cb0d995172": "devel-58cb0d9",
		"v1.2.3-a-b": "v1.2.3-a-b",
	} {
		require.Equal(t, want, short(module), module)
	}
}

func TestTheBuildIsThatOfTheFileOfThisProcess(t *testing.T) {
	t.Parallel()
	own, err := os.Executable()
	require.NoError(t, err)
	f, err := os.Open(own)
	require.NoError(t, err)
	defer f.Close()
	sum, err := Sum(f)
	require.NoError(t, err)
	require.Equal(t, sum, Build())
	require.Len(t, sum, 64)
}
