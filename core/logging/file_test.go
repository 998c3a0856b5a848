package logging

import (
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestS47ALogFileThatWasReplacedIsOpenedAgain(t *testing.T) {
	t.Parallel()
	for what, replace := range map[string]func(file string) error{
		"deleted":   os.Remove,
		"renamed":   func(file string) error { return os.Rename(file, file+".1") },
		"recreated": func(file string) error { return os.WriteFile(file+".new", nil, 0o600) },
		"folder":    func(file string) error { return os.RemoveAll(filepath.Dir(file)) },
		"truncated": func(file string) error { return os.Truncate(file, 0) },
	} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			file := filepath.Join(t.TempDir(), "logs", "a.log")
			logger, output, err := New(Options{File: file, MaxSizeMB: 1})
			require.NoError(t, err)
			defer output.Close()
			logger.Info("before")
			output.Flush()
			require.NoError(t, replace(file))
			if what == "recreated" {
				require.NoError(t, os.Rename(file+".new", file))
			}
			requireLogged(t, logger, output, file)
			info, err := os.Stat(file)
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
			info, err = os.Stat(filepath.Dir(file))
			require.NoError(t, err)
			require.Equal(t, os.FileMode(0o700), info.Mode().Perm())
		})
	}
}

// requireLogged logs until a record arrives in file, which has no gap.
func requireLogged(t *testing.T, logger *slog.Logger, output *Output, file string) {
	t.Helper()
	i := 0
	require.Eventually(t, func() bool {
		i++
		record := fmt.Sprintf("after %d", i)
		logger.Info(record)
		output.Flush()
		text, _ := os.ReadFile(file)
		return strings.Contains(string(text), record) && !strings.Contains(string(text), "\x00") &&
			!strings.Contains(string(text), "before")
	}, time.Minute, 10*time.Millisecond)
}

func TestTheEndOfALogWithALongLastLineIsShown(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "a.log")
	require.NoError(t, os.WriteFile(file, []byte("first\n"+strings.Repeat("x", 2<<20)+" end\n"), 0o600))
	log, err := Tail(t.Context(), file, -1, false)
	require.NoError(t, err)
	defer log.Close()
	text := make([]byte, 3<<20)
	n, _ := log.Read(text)
	require.True(t, strings.HasSuffix(string(text[:n]), "x end\n"))
	require.LessOrEqual(t, n, maxTail, "what is read is bounded")
}
