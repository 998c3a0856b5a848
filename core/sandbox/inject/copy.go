package inject

import (
	"archive/tar"
	"bytes"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/sandbox/source"
)

// cleanTimeout bounds the clean-up after a copy that was cut.
const cleanTimeout = 10 * time.Second

// copy streams the binary to its target, unless the same file is there.
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
	j.Report(api.Injection{Step: api.StepCopy, State: "running", Detail: "copying " + j.binary.name(), Total: j.binary.size})
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

// notWritable is the problem of a place that cannot be copied to.
func (j *Job) notWritable(why string) *api.Problem {
	return problem(j.Ref, api.CodeReadOnlyRoot,
		fmt.Sprintf("nothing can be copied to %s in %s: %s", path.Dir(j.target), j.Ref, why),
		"set daemon.install_dir to a folder on a writable volume (a tmpfs will not work), or put the daemon into the image and use --injection-mode direct")
}

// noSymlinks refuses a target that is, or lies behind, a symbolic link: it
// could lead anywhere. Links that an image's own layout has at the top (/bin →
// usr/bin) are not on the way to the default folder.
func (j *Job) noSymlinks(ctx context.Context) error {
	p := ""
	for part := range strings.SplitSeq(strings.TrimPrefix(j.target, "/"), "/") { // from the top: what lies behind a link is not asked for
		p += "/" + part
		stat, err := j.Source.Stat(ctx, j.Container.ID, p)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // nor is there anything below
		}
		if err != nil {
			return fmt.Errorf("look at %s: %w", p, err)
		}
		if stat.LinkTarget != "" || stat.Mode&fs.ModeSymlink != 0 {
			return problem(j.Ref, api.CodeForeignFile,
				fmt.Sprintf("%s in %s is a symbolic link to %s; it is not followed", p, j.Ref, stat.LinkTarget),
				"remove it, or set daemon.install_dir to another folder")
		}
		if p != j.target && !stat.Mode.IsDir() || p == j.target && !stat.Mode.IsRegular() {
			return problem(j.Ref, api.CodeForeignFile,
				fmt.Sprintf("%s in %s is not what it should be (%v)", p, j.Ref, stat.Mode),
				"remove it, or set daemon.install_dir to another folder")
		}
	}
	return nil
}

// compare says whether the target is the binary already. A file that is
// neither it nor another daemon is somebody else's: a problem.
func (j *Job) compare(ctx context.Context) (same bool, err error) {
	content, stat, err := j.Source.CopyOut(ctx, j.Container.ID, j.target)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look at %s: %w", j.target, err)
	}
	defer content.Close()
	own, err := os.Open(j.binary.path)
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
	if stat.Size == 0 { // what a cut copy leaves where nothing can be removed
		return false, nil
	}
	known, err := isDaemon(content)
	if err == nil && !known {
		err = problem(j.Ref, api.CodeForeignFile,
			fmt.Sprintf("%s in %s is not a daemon of ours; it is not replaced", j.target, j.Ref),
			"remove it, or set daemon.install_dir to another folder")
	}
	return false, err
}

// isDaemon says whether a file's content is a program that is a daemon: a
// script that only mentions one is somebody's own.
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

// stream sends the binary as a tar that holds only its own entry: the folders
// on the way are made by the engine and keep their modes.
func (j *Job) stream(ctx context.Context) error {
	f, err := os.Open(j.binary.path)
	if err != nil {
		return err
	}
	defer f.Close()
	reader, writer := io.Pipe()
	packed := make(chan error, 1)
	go func() { // it ends before this returns
		archive := tar.NewWriter(writer)
		err := archive.WriteHeader(&tar.Header{Name: within(j.base, j.target), Mode: 0o755, Size: j.binary.size, Typeflag: tar.TypeReg, ModTime: time.Now()})
		if err == nil {
			_, err = io.CopyBuffer(archive, &counting{ctx: ctx, j: j, r: io.LimitReader(f, j.binary.size)}, make([]byte, 256<<10))
		}
		if err == nil {
			err = archive.Close()
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

// counting reports how far the copy is, ten times a second at most.
type counting struct {
	ctx  context.Context
	j    *Job
	r    io.Reader
	n    int64
	told time.Time
}

// Read reads and counts.
func (c *counting) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.r.Read(p)
	c.n += int64(n)
	if now := time.Now(); now.Sub(c.told) >= 100*time.Millisecond {
		c.told = now
		c.j.Report(api.Injection{Step: api.StepCopy, State: "running", Bytes: c.n, Total: c.j.binary.size, Detail: "copying " + c.j.binary.name()})
	}
	return n, err
}

// clean takes a half file away: with the container's rm, else by making it
// empty and not executable, which a later injection may replace.
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
	var empty bytes.Buffer
	archive := tar.NewWriter(&empty)
	err = errors.Join(archive.WriteHeader(&tar.Header{Name: within(j.base, j.target), Mode: 0, Typeflag: tar.TypeReg}), archive.Close())
	if err == nil {
		err = j.Source.CopyIn(ctx, j.Container.ID, j.base, &empty)
	}
	if err != nil {
		j.Log.Warn("a cut copy could not be removed", "sandbox", j.Ref.String(), "path", j.target, "error", err)
		return
	}
	j.Log.Warn("a cut copy could not be removed, for the image has no rm; it was made empty", "sandbox", j.Ref.String(), "path", j.target)
}
