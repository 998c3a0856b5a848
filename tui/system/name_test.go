package system

import (
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestAScreenIsNamedByItsUserAndMachine(t *testing.T) {
	t.Parallel()
	file, err := os.CreateTemp(t.TempDir(), "no-terminal")
	require.NoError(t, err)
	defer file.Close()
	require.Regexp(t, `^[^@]+@[^@./ ]+$`, ScreenName(file), "a file is no terminal")
	null, err := os.Open(os.DevNull) // in /dev, as terminals are
	require.NoError(t, err)
	defer null.Close()
	require.Regexp(t, `^[^@]+@[^@./ ]+ null$`, ScreenName(null))
}
