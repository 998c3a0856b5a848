package docker

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"syscall"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"daemon-proxy/core/sandbox/source"
)

// CopyIn works on stopped containers too, creates the folders on the way to an
// entry and keeps the tar's owners. When ctx ends, a Read of tar that is in
// progress may return later, and a file that was half sent stays half written.
func (e *Engine) CopyIn(ctx context.Context, id, dir string, tar io.Reader) error {
	if err := e.begin(ctx, id); err != nil {
		return err
	}
	// The client waits for a Read in progress, so it reads from a pipe that can be
	// closed, not from tar.
	body, pump := io.Pipe()
	defer context.AfterFunc(ctx, func() { body.CloseWithError(ctx.Err()) })()
	pumped := make(chan error, 1)
	go func() {
		_, err := io.Copy(pump, tar)
		pumped <- err
		pump.CloseWithError(err)
	}()
	err := e.cli.CopyToContainer(ctx, id, dir, body, container.CopyToContainerOptions{})
	body.CloseWithError(errStopped)
	if ctx.Err() != nil && err != nil {
		return fmt.Errorf("copy into %s: %w", id, ctx.Err())
	}
	select {
	case broken := <-pumped:
		if err != nil && broken != nil && !errors.Is(broken, errStopped) {
			return fmt.Errorf("copy into %s: %w", id, broken) // not the engine's fault
		}
	default: // the engine stopped before tar ended
	}
	return e.failPath(ctx, "copy into", id, dir, err)
}

// errStopped closes the pipe of a copy that the engine has ended.
var errStopped = errors.New("the engine stopped reading")

// Stat implements source.Source.
func (e *Engine) Stat(ctx context.Context, id, path string) (source.PathStat, error) {
	if err := e.begin(ctx, id); err != nil {
		return source.PathStat{}, err
	}
	stat, err := e.cli.ContainerStatPath(ctx, id, path)
	if err != nil {
		return source.PathStat{}, e.failPath(ctx, "stat", id, path, err)
	}
	return pathStat(path, stat), nil
}

// pathStat translates the engine's answer. Podman gives every path a target; that
// of a path which is not a link is the path itself.
func pathStat(name string, s container.PathStat) source.PathStat {
	if s.LinkTarget == path.Clean(name) {
		s.LinkTarget = ""
	}
	return source.PathStat{Size: s.Size, Mode: s.Mode, LinkTarget: s.LinkTarget}
}

// CopyOut implements source.Source; the reader ends with ctx.
func (e *Engine) CopyOut(ctx context.Context, id, path string) (io.ReadCloser, source.PathStat, error) {
	if err := e.begin(ctx, id); err != nil {
		return nil, source.PathStat{}, err
	}
	body, s, err := e.cli.CopyFromContainer(ctx, id, path)
	if err != nil {
		return nil, source.PathStat{}, e.failPath(ctx, "copy out of", id, path, err)
	}
	stat := pathStat(path, s)
	content := tar.NewReader(body)
	head, err := content.Next()
	if err == nil && (!stat.Mode.IsRegular() || head.Typeflag != tar.TypeReg) {
		err = fmt.Errorf("%s is not a regular file but %s", path, stat.Mode)
	}
	if err != nil {
		return nil, stat, errors.Join(fmt.Errorf("copy out of %s: %w", id, err), body.Close())
	}
	return struct {
		io.Reader
		io.Closer
	}{content, body}, stat, nil
}

// failPath is fail for calls on a path: "not found" may mean the path or the
// container, so the container is inspected.
func (e *Engine) failPath(ctx context.Context, op, id, path string, err error) error {
	if errdefs.IsNotFound(err) {
		if _, gone := e.cli.ContainerInspect(ctx, id); gone == nil {
			return fmt.Errorf("%s %s: %w", op, id, &fs.PathError{Op: "open", Path: path, Err: errors.Join(fs.ErrNotExist, err)})
		}
	}
	if err != nil && readOnly.MatchString(err.Error()) {
		return fmt.Errorf("%s %s: %w", op, id, &fs.PathError{Op: "write", Path: path, Err: errors.Join(syscall.EROFS, err)})
	}
	return e.fail(op, id, err)
}

// readOnly matches the engines' errors for a file system that cannot be written:
// Podman's are the kernel's.
var readOnly = regexp.MustCompile(`(?i)read-only file system|is marked read-only`)
