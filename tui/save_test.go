package tui

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"daemon-proxy/tui/save"
)

func TestS42ASavedFileIsNewAndItsOwnersAlone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path, err := save.New(dir, "a.har", []byte("whole"))
	require.NoError(t, err)
	require.Equal(t, filepath.Join(dir, "a.har"), path)
	info, err := os.Stat(path)
	require.NoError(t, err)
	require.Equal(t, os.FileMode(0o600), info.Mode().Perm())
	_, err = save.New(dir, "a.har", []byte("another"))
	require.ErrorContains(t, err, path+" was not written: file already exists")
	content, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "whole", string(content))
	_, err = save.New(filepath.Join(dir, "missing"), "a.har", nil)
	require.ErrorContains(t, err, "no such file or directory")
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, files, 1, "nothing else is left")
}

// The disk is a real one: 64 KiB large.
func TestS42AFullDiskLeavesNoCutFile(t *testing.T) {
	t.Parallel()
	dir := smallDisk(t)
	_, err := save.New(dir, "a.har", bytes.Repeat([]byte("x"), 128<<10))
	require.ErrorContains(t, err, filepath.Join(dir, "a.har")+" was not written: no space left on device")
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, files)
	_, err = save.New(dir, "a.har", bytes.Repeat([]byte("x"), 48<<10))
	require.NoError(t, err, "there is as much room as before")

	s := requestsScreen(t, busyFake(), 120, 30, nil)
	s.m.requests().Dir = dir
	s.f.har = fmt.Appendf(nil, `{"log": {"entries": [{"x": "%s"}]}}`, strings.Repeat("x", 128<<10))
	s.press("S")
	s.shows("save the requests: ", "no space left on device", "free some space")
	files, err = os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, files, 1)
}
