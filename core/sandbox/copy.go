package sandbox

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
func (in *injection) copy() error {
	dir := path.Dir(in.target)
	base, why := in.writable(dir)
	if base == "" {
		return in.notWritable(why)
	}
	in.base = base
	if err := in.noSymlinks(); err != nil {
		return err
	}
	same, err := in.compare()
	if err != nil {
		return err
	}
	if same {
		in.tell(api.Injection{Step: api.StepCopy, State: "skipped", Detail: in.target + " is there already"})
		return nil
	}
	in.tell(api.Injection{Step: api.StepCopy, State: "running", Detail: "copying " + in.binary.name(), Total: in.binary.size})
	began := time.Now()
	if err := in.stream(); err != nil {
		in.clean()
		if in.ctx.Err() != nil {
			return in.ctx.Err()
		}
		if errors.Is(err, syscall.EROFS) {
			return in.notWritable("its file system is read-only")
		}
		return fmt.Errorf("copy to %s: %w", in.target, err)
	}
	in.tell(api.Injection{Step: api.StepCopy, State: "done", Bytes: in.binary.size, Total: in.binary.size,
		Detail: fmt.Sprintf("copied %s in %v", in.target, time.Since(began).Round(time.Millisecond))})
	return nil
}

// notWritable is the problem of a place that cannot be copied to.
func (in *injection) notWritable(why string) *api.Problem {
	return problem(in.ref, api.CodeReadOnlyRoot,
		fmt.Sprintf("nothing can be copied to %s in %s: %s", path.Dir(in.target), in.ref, why),
		"set daemon.install_dir to a folder on a writable volume (a tmpfs will not work), or put the daemon into the image and use --injection-mode direct")
}

// noSymlinks refuses a target that is, or lies behind, a symbolic link: it
// could lead anywhere. Links that an image's own layout has at the top (/bin →
// usr/bin) are not on the way to the default folder.
func (in *injection) noSymlinks() error {
	p := ""
	for part := range strings.SplitSeq(strings.TrimPrefix(in.target, "/"), "/") { // from the top: what lies behind a link is not asked for
		p += "/" + part
		stat, err := in.s.o.Source.Stat(in.ctx, in.c.ID, p)
		if errors.Is(err, fs.ErrNotExist) {
			return nil // nor is there anything below
		}
		if err != nil {
			return fmt.Errorf("look at %s: %w", p, err)
		}
		if stat.LinkTarget != "" || stat.Mode&fs.ModeSymlink != 0 {
			return problem(in.ref, api.CodeForeignFile,
				fmt.Sprintf("%s in %s is a symbolic link to %s; it is not followed", p, in.ref, stat.LinkTarget),
				"remove it, or set daemon.install_dir to another folder")
		}
		if p != in.target && !stat.Mode.IsDir() || p == in.target && !stat.Mode.IsRegular() {
			return problem(in.ref, api.CodeForeignFile,
				fmt.Sprintf("%s in %s is not what it should be (%v)", p, in.ref, stat.Mode),
				"remove it, or set daemon.install_dir to another folder")
		}
	}
	return nil
}

// compare says whether the target is the binary already. A file that is
// neither it nor another daemon is somebody else's: a problem.
func (in *injection) compare() (same bool, err error) {
	content, stat, err := in.s.o.Source.CopyOut(in.ctx, in.c.ID, in.target)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("look at %s: %w", in.target, err)
	}
	defer content.Close()
	own, err := os.Open(in.binary.path)
	if err != nil {
		return false, err
	}
	defer own.Close()
	if stat.Size == in.binary.size && stat.Mode.Perm()&0o111 != 0 {
		if same, err = sameContent(own, content); same || err != nil {
			return same, err
		}
		content.Close()
		if content, _, err = in.s.o.Source.CopyOut(in.ctx, in.c.ID, in.target); err != nil {
			return false, err
		}
		defer content.Close()
	}
	if stat.Size == 0 { // what a cut copy leaves where nothing can be removed
		return false, nil
	}
	known, err := isDaemon(content)
	if err == nil && !known {
		err = problem(in.ref, api.CodeForeignFile,
			fmt.Sprintf("%s in %s is not a daemon of ours; it is not replaced", in.target, in.ref),
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
func (in *injection) stream() error {
	f, err := os.Open(in.binary.path)
	if err != nil {
		return err
	}
	defer f.Close()
	reader, writer := io.Pipe()
	packed := make(chan error, 1)
	in.s.group.Go(func() {
		archive := tar.NewWriter(writer)
		err := archive.WriteHeader(&tar.Header{Name: within(in.base, in.target), Mode: 0o755, Size: in.binary.size, Typeflag: tar.TypeReg, ModTime: time.Now()})
		if err == nil {
			_, err = io.CopyBuffer(archive, &counting{in: in, r: io.LimitReader(f, in.binary.size)}, make([]byte, 256<<10))
		}
		if err == nil {
			err = archive.Close()
		}
		writer.CloseWithError(err)
		packed <- err
	})
	err = in.s.o.Source.CopyIn(in.ctx, in.c.ID, in.base, reader)
	reader.CloseWithError(errors.New("the engine stopped reading"))
	if packErr := <-packed; err == nil {
		err = packErr
	}
	return err
}

// counting reports how far the copy is, ten times a second at most.
type counting struct {
	in   *injection
	r    io.Reader
	n    int64
	told time.Time
}

// Read reads and counts.
func (c *counting) Read(p []byte) (int, error) {
	if err := c.in.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.r.Read(p)
	c.n += int64(n)
	if now := time.Now(); now.Sub(c.told) >= 100*time.Millisecond {
		c.told = now
		c.in.tell(api.Injection{Step: api.StepCopy, State: "running", Bytes: c.n, Total: c.in.binary.size, Detail: "copying " + c.in.binary.name()})
	}
	return n, err
}

// clean takes a half file away: with the container's rm, else by making it
// empty and not executable, which a later injection may replace.
func (in *injection) clean() {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(in.ctx), cleanTimeout)
	defer cancel()
	if _, err := in.s.o.Source.Stat(ctx, in.c.ID, in.target); errors.Is(err, fs.ErrNotExist) {
		return
	}
	_, code, err := in.s.o.Source.Run(ctx, in.c.ID, source.ExecSpec{Cmd: []string{"rm", "-f", in.target}, User: "0"})
	if err == nil && code == 0 {
		return
	}
	var empty bytes.Buffer
	archive := tar.NewWriter(&empty)
	err = errors.Join(archive.WriteHeader(&tar.Header{Name: within(in.base, in.target), Mode: 0, Typeflag: tar.TypeReg}), archive.Close())
	if err == nil {
		err = in.s.o.Source.CopyIn(ctx, in.c.ID, in.base, &empty)
	}
	if err != nil {
		in.s.log.Warn("a cut copy could not be removed", "sandbox", in.ref.String(), "path", in.target, "error", err)
		return
	}
	in.s.log.Warn("a cut copy could not be removed, for the image has no rm; it was made empty", "sandbox", in.ref.String(), "path", in.target)
}
