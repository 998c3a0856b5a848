package inject

import (
	"archive/tar"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"syscall"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/sandbox/source"
)

// cleanTimeout bounds the clean-up after an interrupted copy.
const cleanTimeout = 10 * time.Second

// copy streams the binary to its target, unless the target is identical already.
func (j *Job) copy(ctx context.Context) error {
	dir := path.Dir(j.target)
	base, why := j.writable(dir)
	if base == "" {
		return j.notWritable(why)
	}
	j.base = base
	if err := j.noSymlinks(ctx); err != nil {
		return err
	}
	same, err := j.compare(ctx)
	if err != nil {
		return err
	}
	if same {
		j.Report(api.Injection{Step: api.StepCopy, State: "skipped", Detail: j.target + " is there already"})
		return nil
	}
	j.copying(0)
	began := time.Now()
	if err := j.stream(ctx); err != nil {
		j.clean(ctx)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, syscall.EROFS) {
			return j.notWritable("its file system is read-only")
		}
		return fmt.Errorf("copy to %s: %w", j.target, err)
	}
	j.Report(api.Injection{Step: api.StepCopy, State: "done", Bytes: j.binary.size, Total: j.binary.size,
		Detail: fmt.Sprintf("copied %s in %v", j.target, time.Since(began).Round(time.Millisecond))})
	return nil
}

// copying reports how many bytes of the binary are copied.
func (j *Job) copying(bytes int64) {
	j.Report(api.Injection{Step: api.StepCopy, State: "running", Detail: "copying " + j.binary.name(),
		Bytes: bytes, Total: j.binary.size})
}

// notWritable is the problem of a folder that cannot be copied to.
func (j *Job) notWritable(why string) *api.Problem {
	return j.Ref.Problem(api.CodeReadOnlyRoot,
		fmt.Sprintf("nothing can be copied to %s in %s: %s", path.Dir(j.target), j.Ref, why),
		"allow a helper (docker.helper, docker.reach), set daemon.install_dir to a folder on a writable volume "+
			"(a tmpfs will not work), "+
			"or put the daemon into the image and use --injection-mode direct").Because(CannotRunError{Reason: why})
}

// noSymlinks refuses a target that is, or lies behind, a symbolic link: it
// could lead anywhere. Links that an image's own layout has at the top (/bin →
// usr/bin) are not on the way to the default folder.
func (j *Job) noSymlinks(ctx context.Context) error {
	p := ""
	// From the top, so that no link is followed.
	for part := range strings.SplitSeq(strings.TrimPrefix(j.target, "/"), "/") {
		p += "/" + part
		stat, err := j.Source.Stat(ctx, j.Container.ID, p)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // and there is nothing below it
		}
		if err != nil {
			return fmt.Errorf("stat %s: %w", p, err)
		}
		if stat.LinkTarget != "" || stat.Mode&fs.ModeSymlink != 0 {
			return j.Ref.Problem(api.CodeForeignFile,
				fmt.Sprintf("%s in %s is a symbolic link to %s; it is not followed", p, j.Ref, stat.LinkTarget),
				"remove it, or set daemon.install_dir to another folder")
		}
		if p != j.target && !stat.Mode.IsDir() || p == j.target && !stat.Mode.IsRegular() {
			return j.Ref.Problem(api.CodeForeignFile,
				fmt.Sprintf("%s in %s has an unexpected type (%v)", p, j.Ref, stat.Mode),
				"remove it, or set daemon.install_dir to another folder")
		}
	}
	return nil
}

// compare reports whether the target is the binary already. It is a problem if
// the target is a file that is not a daemon.
func (j *Job) compare(ctx context.Context) (same bool, err error) {
	content, stat, err := j.Source.CopyOut(ctx, j.Container.ID, j.target)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("stat %s: %w", j.target, err)
	}
	defer content.Close()
	own, err := j.binary.open()
	if err != nil {
		return false, err
	}
	defer own.Close()
	if stat.Size == j.binary.size && stat.Mode.Perm()&0o111 != 0 {
		if same, err = sameContent(own, content); same || err != nil {
			return same, err
		}
		content.Close()
		if content, _, err = j.Source.CopyOut(ctx, j.Container.ID, j.target); err != nil {
			return false, err
		}
		defer content.Close()
	}
	if stat.Size == 0 { // left by an interrupted copy that could not be removed
		return false, nil
	}
	known, err := isDaemon(content)
	if err == nil && !known {
		err = j.Ref.Problem(api.CodeForeignFile,
			fmt.Sprintf("%s in %s is not a daemon of ours; it is not replaced", j.target, j.Ref),
			"remove it, or set daemon.install_dir to another folder")
	}
	return false, err
}

// isDaemon reports whether a file is the executable of a daemon. A script that
// only mentions one is not.
func isDaemon(content io.Reader) (bool, error) {
	magic := make([]byte, len(elf.ELFMAG))
	if _, err := io.ReadFull(content, magic); err != nil || string(magic) != elf.ELFMAG {
		return false, ignoreShort(err)
	}
	return streamHolds(content, daemonText)
}

func ignoreShort(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil
	}
	return err
}

func sameContent(a, b io.Reader) (bool, error) {
	x, y := make([]byte, 64<<10), make([]byte, 64<<10)
	for {
		n, errA := io.ReadFull(a, x)
		m, errB := io.ReadFull(b, y)
		if n != m || string(x[:n]) != string(y[:m]) {
			return false, nil
		}
		endA := errors.Is(errA, io.EOF) || errors.Is(errA, io.ErrUnexpectedEOF)
		endB := errors.Is(errB, io.EOF) || errors.Is(errB, io.ErrUnexpectedEOF)
		switch {
		case endA && endB:
			return true, nil
		case errA != nil && !endA:
			return false, errA
		case errB != nil && !endB:
			return false, errB
		}
	}
}

// stream sends the binary as a tar with this one entry: the engine makes the
// missing folders, and existing ones keep their modes.
func (j *Job) stream(ctx context.Context) error {
	f, err := j.binary.open()
	if err != nil {
		return err
	}
	defer f.Close()
	reader, writer := io.Pipe()
	packed := make(chan error, 1)
	go func() { // it ends before this returns
		w := tar.NewWriter(writer)
		err := w.WriteHeader(&tar.Header{
			Name: within(j.base, j.target), Mode: 0o755, Size: j.binary.size, Typeflag: tar.TypeReg, ModTime: time.Now(),
		})
		if err == nil {
			content := &counting{ctx: ctx, j: j, r: io.LimitReader(f, j.binary.size)}
			_, err = io.CopyBuffer(w, content, make([]byte, 256<<10))
		}
		if err == nil {
			err = w.Close()
		}
		writer.CloseWithError(err)
		packed <- err
	}()
	err = j.Source.CopyIn(ctx, j.Container.ID, j.base, reader)
	reader.CloseWithError(errors.New("the engine stopped reading"))
	if packErr := <-packed; err == nil {
		err = packErr
	}
	return err
}

// counting reports the copy's progress, at most ten times a second.
type counting struct {
	ctx  context.Context
	j    *Job
	r    io.Reader
	n    int64
	last time.Time // of the last report
}

// Read reads and counts.
func (c *counting) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.r.Read(p)
	c.n += int64(n)
	if now := time.Now(); now.Sub(c.last) >= 100*time.Millisecond {
		c.last = now
		c.j.copying(c.n)
	}
	return n, err
}

// clean removes an incomplete file with the container's rm. If that fails, it
// makes the file empty and not executable; a later injection replaces it.
func (j *Job) clean(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTimeout)
	defer cancel()
	if _, err := j.Source.Stat(ctx, j.Container.ID, j.target); errors.Is(err, fs.ErrNotExist) {
		return
	}
	_, code, err := j.Source.Run(ctx, j.Container.ID, source.ExecSpec{Cmd: []string{"rm", "-f", j.target}, User: "0"})
	if err == nil && code == 0 {
		return
	}
	if err := j.put(ctx, j.base, tar.Header{Name: j.target, Typeflag: tar.TypeReg}, ""); err != nil {
		j.Log.Warn("an incomplete copy could not be removed",
			"sandbox", j.Ref.String(), "path", j.target, "error", err)
		return
	}
	j.Log.Warn("an incomplete copy could not be removed because the image has no rm; it was made empty",
		"sandbox", j.Ref.String(), "path", j.target)
}
