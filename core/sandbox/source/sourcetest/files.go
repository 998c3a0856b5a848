package sourcetest

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"runtime"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"daemon-proxy/core/sandbox/source"
)

func files(t *testing.T, w World) {
	ctx, s, id := t.Context(), w.Source, w.Start(t)
	const tool, script = "/opt/deep/er/tool", "#!/bin/sh\necho works\n"
	require.NoError(t, s.CopyIn(ctx, id, "/", tarOf(t, tool[1:], script, 0o755)))
	stat, err := s.Stat(ctx, id, tool)
	require.NoError(t, err)
	require.EqualValues(t, len(script), stat.Size)
	require.Equal(t, fs.FileMode(0o755), stat.Mode)
	out, code, err := s.Run(ctx, id, source.ExecSpec{Cmd: []string{tool}})
	require.NoError(t, err)
	require.Zero(t, code)
	require.Equal(t, "works\n", string(out))

	content, stat, err := s.CopyOut(ctx, id, tool)
	require.NoError(t, err)
	data, err := io.ReadAll(content)
	require.NoError(t, errors.Join(err, content.Close()))
	require.Equal(t, script, string(data))
	require.EqualValues(t, len(script), stat.Size)

	link, err := s.Stat(ctx, id, "/bin/ls")
	require.NoError(t, err)
	require.Equal(t, "/bin/busybox", link.LinkTarget)
	require.NotZero(t, link.Mode&fs.ModeSymlink)
}

func paths(t *testing.T, w World) {
	ctx, s, id := t.Context(), w.Source, w.Start(t)
	_, err := s.Stat(ctx, id, "/no/where")
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "/no/where")
	require.ErrorIs(t, third(s.CopyOut(ctx, id, "/no/where")), fs.ErrNotExist)
	if err := s.CopyIn(ctx, id, "/no/where", tarOf(t, "x", "x", 0o644)); err != nil {
		require.ErrorIs(t, err, fs.ErrNotExist)
	}
	for _, path := range []string{"/tmp", "/bin/ls"} {
		require.ErrorContains(t, third(s.CopyOut(ctx, id, path)), path+" is not a regular file")
	}
}

// tarOf is a tar with one file.
func tarOf(t *testing.T, name, content string, mode int64) io.Reader {
	t.Helper()
	var buffer bytes.Buffer
	w := tar.NewWriter(&buffer)
	require.NoError(t, w.WriteHeader(&tar.Header{Name: name, Size: int64(len(content)), Mode: mode}))
	_, err := io.WriteString(w, content)
	require.NoError(t, errors.Join(err, w.Close()))
	return &buffer
}

// stream is a tar of one file of zeros that takes no memory; at each Read of
// its content it calls step with the bytes so far.
func stream(t *testing.T, size int64, step func(done int64) error) *io.PipeReader {
	t.Helper()
	reader, writer := io.Pipe()
	finished := make(chan struct{})
	t.Cleanup(func() { _ = reader.Close(); <-finished })
	go func() {
		defer close(finished)
		w := tar.NewWriter(writer)
		err := w.WriteHeader(&tar.Header{Name: "big", Size: size, Mode: 0o755})
		chunk := make([]byte, 32<<10)
		for done := int64(0); err == nil && done < size; {
			n := min(int64(len(chunk)), size-done)
			if err = step(done); err == nil {
				_, err = w.Write(chunk[:n])
			}
			done += n
		}
		if err == nil {
			err = w.Close()
		}
		_ = writer.CloseWithError(err) // never fails
	}()
	return reader
}

// copyingNeedsLittleMemory measures the memory of the whole process.
func copyingNeedsLittleMemory(t *testing.T, w World) {
	s, id := w.Source, w.Start(t)
	const size, limit = 58 << 20, 8 << 20
	require.NoError(t, s.CopyIn(t.Context(), id, "/tmp", tarOf(t, "warm-up", "x", 0o644)))

	var before runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	stop, sampled := make(chan struct{}), make(chan struct{})
	var peak atomic.Uint64
	go func() {
		defer close(sampled)
		ticker := time.NewTicker(20 * time.Millisecond)
		defer ticker.Stop()
		for {
			var now runtime.MemStats
			runtime.ReadMemStats(&now)
			peak.Store(max(peak.Load(), now.HeapInuse+now.StackInuse))
			select {
			case <-stop:
				return
			case <-ticker.C:
			}
		}
	}()
	err := s.CopyIn(t.Context(), id, "/tmp", stream(t, size, func(int64) error { return nil }))
	close(stop)
	<-sampled
	require.NoError(t, err)
	var after runtime.MemStats
	runtime.ReadMemStats(&after)
	require.Less(t, int64(peak.Load())-int64(before.HeapInuse+before.StackInuse), int64(limit), "at the worst moment")
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(limit), "allocated all in all")

	stat, err := s.Stat(t.Context(), id, "/tmp/big")
	require.NoError(t, err)
	require.EqualValues(t, size, stat.Size)
}

func cancelledCopy(t *testing.T, w World) {
	s, id := w.Source, w.Start(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	content := stream(t, 64<<20, func(done int64) error {
		if done >= 4<<20 {
			cancel()
		}
		return nil
	})
	err := s.CopyIn(ctx, id, "/tmp", content)
	require.ErrorIs(t, err, context.Canceled)
	// What is left can be overwritten.
	require.NoError(t, s.CopyIn(t.Context(), id, "/tmp", tarOf(t, "big", "", 0)))
	stat, err := s.Stat(t.Context(), id, "/tmp/big")
	require.NoError(t, err)
	require.Zero(t, stat.Size)
}

func hangingCopy(t *testing.T, w World) {
	s, id := w.Source, w.Start(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	hang := make(chan struct{})
	content := stream(t, 1<<20, func(done int64) error {
		if done > 0 {
			cancel()
			<-hang
		}
		return nil
	})
	t.Cleanup(func() { close(hang) }) // before stream waits for its end
	require.ErrorIs(t, s.CopyIn(ctx, id, "/tmp", content), context.Canceled)
}

func brokenCopy(t *testing.T, w World) {
	s, id := w.Source, w.Start(t)
	disk := errors.New("the disk is on fire")
	content := stream(t, 1<<20, func(done int64) error {
		if done > 100_000 {
			return disk
		}
		return nil
	})
	require.ErrorIs(t, s.CopyIn(t.Context(), id, "/tmp", content), disk)
	require.ErrorContains(t, s.CopyIn(t.Context(), id, "/tmp", bytes.NewReader([]byte("no tar"))), "copy into")
}
