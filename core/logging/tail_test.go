package logging

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"gopkg.in/natefinch/lumberjack.v2"
)

func TestTheEndOfALogReachesIntoRotatedFiles(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "a[b]*.log")
	log := &lumberjack.Logger{Filename: file, MaxSize: 1}
	defer log.Close()
	for i := range 3 {
		_, err := fmt.Fprintf(log, "line %d\n", i)
		require.NoError(t, err)
		if i < 2 {
			require.NoError(t, log.Rotate())
			began := time.Now() // two backups of one millisecond would have one name
			require.Eventually(t, func() bool { return time.Since(began) > 2*time.Millisecond }, time.Minute, time.Millisecond)
		}
	}
	require.NoError(t, os.WriteFile(filepath.Join(filepath.Dir(file), "a[b]*-other.log"), []byte("no log\n"), 0o600))
	read := func(n int) string {
		r, err := Tail(t.Context(), file, n, false)
		require.NoError(t, err)
		defer r.Close()
		text, err := io.ReadAll(r)
		require.NoError(t, err)
		return string(text)
	}
	require.Equal(t, "line 2\n", read(1))
	require.Equal(t, "line 1\nline 2\n", read(2))
	require.Equal(t, "line 0\nline 1\nline 2\n", read(100))
	require.Empty(t, read(0))
	_, err := Tail(t.Context(), file+"x", 1, false)
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestAFollowedLogGoesOnOverARotation(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "a.log")
	log := &lumberjack.Logger{Filename: file, MaxSize: 1}
	defer log.Close()
	write := func(text string) {
		_, err := io.WriteString(log, text+"\n")
		require.NoError(t, err)
	}
	write("old")
	write("last")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	r, err := Tail(ctx, file, 1, true)
	require.NoError(t, err)
	lines := bufio.NewScanner(r)
	next := func() string {
		require.True(t, lines.Scan(), "%v", lines.Err())
		return lines.Text()
	}
	require.Equal(t, "last", next())
	write("new")
	require.Equal(t, "new", next())
	write("before")
	require.NoError(t, log.Rotate())
	write("after")
	require.Equal(t, "before", next())
	require.Equal(t, "after", next())
	require.NoError(t, os.Truncate(file, 0))
	require.NoError(t, log.Close())
	write("cut")
	require.Equal(t, "cut", next())
	require.NoError(t, r.Close())
	_, err = r.Read(make([]byte, 1))
	require.Error(t, err)
}

func TestLastLines(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text string
		n    int
		want string
	}{
		{"a\nb\nc\n", 2, "b\nc\n"}, {"a\nb\nc", 2, "b\nc"}, {"a\nb", 9, "a\nb"}, {"", 3, ""}, {"a\n", 0, ""}, {"a\nb\n", -1, "a\nb\n"}, {"\n\n", 1, "\n"},
	} {
		require.Equal(t, test.want, string(LastLines([]byte(test.text), test.n)), "%q %d", test.text, test.n)
	}
}
