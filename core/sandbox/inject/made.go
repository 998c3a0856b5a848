package inject

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

func (j *Job) madeFile() string { return path.Join(j.Config.InstallDir, madeName) }

// noteMade notes dir and its parents as far as they do not exist, before they
// are made. Folders that cannot be noted stay after Eject.
func (j *Job) noteMade(ctx context.Context, dir string) {
	note := j.Container.ID + "\n"
	for ; dir != "/" && dir != "."; dir = path.Dir(dir) {
		if _, err := j.Source.Stat(ctx, j.Container.ID, dir); !errors.Is(err, fs.ErrNotExist) {
			break
		}
		note += dir + "\n"
	}
	for _, earlier := range j.madeDirs(ctx) {
		note += earlier + "\n"
	}
	base, why := j.writable(j.Config.InstallDir)
	err := errors.New(why)
	if base != "" {
		var archive bytes.Buffer
		w := tar.NewWriter(&archive)
		err = w.WriteHeader(&tar.Header{
			Name: within(base, j.madeFile()), Mode: 0o644, Typeflag: tar.TypeReg, Size: int64(len(note)), ModTime: time.Now(),
		})
		if err == nil {
			_, err = io.WriteString(w, note)
		}
		if err = errors.Join(err, w.Close()); err == nil {
			err = j.Source.CopyIn(ctx, j.Container.ID, base, &archive)
		}
	}
	if err != nil {
		j.Log.Debug("the new working directory is not noted and will stay", "sandbox", j.Ref.String(), "error", err)
	}
}

// madeDirs are the folders in the note of a container; none if it has no note
// of its own. The note is foreign text: lines that are not paths are ignored.
func (j *Job) madeDirs(ctx context.Context) (dirs []string) {
	content, _, err := j.Source.CopyOut(ctx, j.Container.ID, j.madeFile())
	if err != nil {
		return nil
	}
	defer content.Close()
	raw, err := io.ReadAll(io.LimitReader(content, maxMade))
	if err != nil {
		return nil
	}
	id, rest, _ := strings.Cut(string(raw), "\n")
	if id != j.Container.ID {
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
func (j *Job) removeMade(ctx context.Context, dirs []string) error {
	for _, dir := range dirs {
		out, code, err := j.Source.Run(ctx, j.Container.ID, source.ExecSpec{User: "0", Cmd: []string{"rmdir", dir}})
		if err != nil {
			return fmt.Errorf("remove %s: %w", dir, err)
		}
		if code != 0 {
			j.Log.Info("a working directory stays", "sandbox", j.Container.Name, "path", dir, "reason", logging.Line(string(out), 200))
		}
	}
	return nil
}
