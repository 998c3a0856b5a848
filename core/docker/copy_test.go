package docker_test

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

	"daemon-proxy/core/docker/enginetest"
	"daemon-proxy/core/sandbox/source"
)

func TestCopyInAndOut(t *testing.T) {
	t.Parallel()
	e := enginetest.Require(t)
	ctx := t.Context()
	id := enginetest.Run(t, enginetest.Busybox(t), enginetest.RunOptions{})

	require.NoError(t, e.CopyIn(ctx, id, "/", tarOf(t, "opt/deep/er/tool", "#!/bin/sh\necho works\n", 0o755)))
	stat, err := e.Stat(ctx, id, "/opt/deep/er/tool")
	require.NoError(t, err)
	require.EqualValues(t, 21, stat.Size)
	require.Equal(t, fs.FileMode(0o755), stat.Mode)
	out, code, err := e.Run(ctx, id, source.ExecSpec{Cmd: []string{"/opt/deep/er/tool"}})
	require.NoError(t, err)
	require.Zero(t, code)
	require.Equal(t, "works\n", string(out))

	content, stat, err := e.CopyOut(ctx, id, "/opt/deep/er/tool")
	require.NoError(t, err)
	data, err := io.ReadAll(content)
	require.NoError(t, errors.Join(err, content.Close()))
	require.Equal(t, "#!/bin/sh\necho works\n", string(data))
	require.EqualValues(t, 21, stat.Size)

	link, err := e.Stat(ctx, id, "/bin/ls")
	require.NoError(t, err)
	require.Equal(t, "/bin/busybox", link.LinkTarget)
	require.NotZero(t, link.Mode&fs.ModeSymlink)
}

func TestPathsThatDoNotExistOrAreNoFiles(t *testing.T) {
	t.Parallel()
	e := enginetest.Require(t)
	ctx := t.Context()
	id := enginetest.Run(t, enginetest.Busybox(t), enginetest.RunOptions{CreateOnly: true})
	_, err := e.Stat(ctx, id, "/no/where")
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "/no/where")
	_, _, err = e.CopyOut(ctx, id, "/no/where")
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorIs(t, e.CopyIn(ctx, id, "/no/where", tarOf(t, "x", "x", 0o644)), fs.ErrNotExist)
	for _, path := range []string{"/tmp", "/bin/ls"} {
		_, _, err = e.CopyOut(ctx, id, path)
		require.ErrorContains(t, err, path+" is not a regular file")
	}
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

// Not parallel: it measures the memory of the whole process.
func TestCopyInStreamsInSmallMemory(t *testing.T) {
	e := enginetest.Require(t)
	id := enginetest.Run(t, enginetest.Busybox(t), enginetest.RunOptions{})
	const size, limit = 58 << 20, 8 << 20
	require.NoError(t, e.CopyIn(t.Context(), id, "/tmp", tarOf(t, "warm-up", "x", 0o644)))

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
	err := e.CopyIn(t.Context(), id, "/tmp", stream(t, size, func(int64) error { return nil }))
	close(stop)
	<-sampled
	require.NoError(t, err)
	var after runtime.MemStats
	runtime.ReadMemStats(&after)
	require.Less(t, int64(peak.Load())-int64(before.HeapInuse+before.StackInuse), int64(limit), "at the worst moment")
	require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(limit), "allocated all in all")

	stat, err := e.Stat(t.Context(), id, "/tmp/big")
	require.NoError(t, err)
	require.EqualValues(t, size, stat.Size)
}

func TestCopyInCanBeCancelledInTheMiddle(t *testing.T) {
	t.Parallel()
	e := enginetest.Require(t)
	id := enginetest.Run(t, enginetest.Busybox(t), enginetest.RunOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	source := stream(t, 64<<20, func(done int64) error {
		if done >= 4<<20 {
			cancel()
		}
		return nil
	})
	err := e.CopyIn(ctx, id, "/tmp", source)
	require.ErrorIs(t, err, context.Canceled)
	// What is left can be overwritten.
	require.NoError(t, e.CopyIn(t.Context(), id, "/tmp", tarOf(t, "big", "", 0)))
	stat, err := e.Stat(t.Context(), id, "/tmp/big")
	require.NoError(t, err)
	require.Zero(t, stat.Size)
}

func TestCopyInEndsThoughItsSourceHangs(t *testing.T) {
	t.Parallel()
	e := enginetest.Require(t)
	id := enginetest.Run(t, enginetest.Busybox(t), enginetest.RunOptions{})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	hang := make(chan struct{})
	source := stream(t, 1<<20, func(done int64) error {
		if done > 0 {
			cancel()
			<-hang
		}
		return nil
	})
	t.Cleanup(func() { close(hang) }) // before stream waits for its end
	require.ErrorIs(t, e.CopyIn(ctx, id, "/tmp", source), context.Canceled)
}

func TestCopyInGivesTheErrorOfItsSource(t *testing.T) {
	t.Parallel()
	e := enginetest.Require(t)
	id := enginetest.Run(t, enginetest.Busybox(t), enginetest.RunOptions{})
	disk := errors.New("the disk is on fire")
	source := stream(t, 1<<20, func(done int64) error {
		if done > 100_000 {
			return disk
		}
		return nil
	})
	require.ErrorIs(t, e.CopyIn(t.Context(), id, "/tmp", source), disk)
	require.ErrorContains(t, e.CopyIn(t.Context(), id, "/tmp", bytes.NewReader([]byte("no tar"))), "copy into")
}

func TestCopyIntoAReadOnlyRootFailsAndAVolumeWorks(t *testing.T) {
	t.Parallel()
	e := enginetest.Require(t)
	id := enginetest.Run(t, enginetest.Busybox(t), enginetest.RunOptions{ReadOnly: true, Binds: []string{"/scratch"}})
	require.ErrorContains(t, e.CopyIn(t.Context(), id, "/bin", tarOf(t, "x", "x", 0o755)), "copy into "+id)
	_ = id
}
