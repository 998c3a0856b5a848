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

func TestAContainerIsNotNamedByItsID(t *testing.T) {
	t.Parallel()
	require.Equal(t, "container", place("0123456789ab", true))
	require.Equal(t, "0123456789ab", place("0123456789ab", false))
	require.Equal(t, "web", place("web.example", true), "a name that was given")
}
