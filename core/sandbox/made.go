package sandbox

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"time"

	"daemon-proxy/core/logging"
	"daemon-proxy/core/sandbox/source"
)

// A working directory that an injection makes is noted in the container, beside
// the daemon, so that the note outlives this program and ends with the
// container. Its first line is the container's id: in a volume or an image that
// another container uses it means nothing. The folders follow, the deepest
// first. Eject removes those that are empty.

const (
	// madeName is the note's name, in the folder that daemons are copied to.
	madeName = ".daemon-proxy-made"
	// maxMade bounds what is read of a note.
	maxMade = 8 << 10
)

func (s *Sandboxes) madeFile() string { return path.Join(s.o.Config.InstallDir, madeName) }

// noteMade notes dir and its parents as far as they do not exist, before they
// are made. Folders that cannot be noted stay after Eject.
func (in *injection) noteMade(dir string) {
	note := in.c.ID + "\n"
	for ; dir != "/" && dir != "."; dir = path.Dir(dir) {
		if _, err := in.s.o.Source.Stat(in.ctx, in.c.ID, dir); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		note += dir + "\n"
	}
	for _, earlier := range in.s.madeDirs(in.ctx, in.c) {
		note += earlier + "\n"
	}
	base, why := in.writable(in.s.o.Config.InstallDir)
	err := errors.New(why)
	if base != "" {
		var archive bytes.Buffer
		w := tar.NewWriter(&archive)
		err = w.WriteHeader(&tar.Header{
			Name: within(base, in.s.madeFile()), Mode: 0o644, Typeflag: tar.TypeReg, Size: int64(len(note)), ModTime: time.Now(),
		})
		if err == nil {
			_, err = io.WriteString(w, note)
		}
		if err = errors.Join(err, w.Close()); err == nil {
			err = in.s.o.Source.CopyIn(in.ctx, in.c.ID, base, &archive)
		}
	}
	if err != nil {
		in.s.log.Debug("the new working directory is not noted and will stay", "sandbox", in.ref.String(), "error", err)
	}
}

// madeDirs are the folders in the note of a container; none if it has no note
// of its own. The note is foreign text: lines that are not paths are ignored.
func (s *Sandboxes) madeDirs(ctx context.Context, c source.Container) (dirs []string) {
	content, _, err := s.o.Source.CopyOut(ctx, c.ID, s.madeFile())
	if err != nil {
		return nil
	}
	defer content.Close()
	raw, err := io.ReadAll(io.LimitReader(content, maxMade))
	if err != nil {
		return nil
	}
	id, rest, _ := strings.Cut(string(raw), "\n")
	if id != c.ID {
		return nil
	}
	for line := range strings.Lines(rest) {
		if dir, whole := strings.CutSuffix(line, "\n"); whole && path.IsAbs(dir) && path.Clean(dir) == dir {
			dirs = append(dirs, dir)
		}
	}
	return dirs
}

// removeMade removes folders that are empty. One that is not, or that the
// image has no rmdir for, stays and is named.
func (s *Sandboxes) removeMade(ctx context.Context, c source.Container, dirs []string) error {
	for _, dir := range dirs {
		out, code, err := s.o.Source.Run(ctx, c.ID, source.ExecSpec{User: "0", Cmd: []string{"rmdir", dir}})
		if err != nil {
			return fmt.Errorf("remove %s: %w", dir, err)
		}
		if code != 0 {
			s.log.Info("a working directory stays", "sandbox", c.Name, "path", dir, "reason", logging.Line(string(out), 200))
		}
	}
	return nil
}
