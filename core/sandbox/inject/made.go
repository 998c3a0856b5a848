package inject

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"daemon-proxy/core/logging"
	"daemon-proxy/core/sandbox/source"
)

// The folders that an injection makes for its working directory are listed in a
// file beside the daemon in the container, so that the list outlives this
// program but not the container. Its first line is the container's id: another
// container may use the same volume or image, and ignores the list. The folders
// follow, the deepest first. Eject removes those that are empty.

const (
	// madeName is the list's name, in the folder that daemons are copied to.
	madeName = ".daemon-proxy-made"
	// maxMade bounds what is read of a list.
	maxMade = 8 << 10
)

func (j *Job) madeFile() string { return path.Join(j.Config.InstallDir, madeName) }

// noteMade lists dir and those of its parents that do not exist, before they are
// made. If the list cannot be written, Eject leaves the folders.
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
		err = j.put(ctx, base, tar.Header{Name: j.madeFile(), Mode: 0o644, Typeflag: tar.TypeReg}, note)
	}
	if err != nil {
		j.Log.Debug("the new working directory could not be recorded, so eject will leave it",
			"sandbox", j.Ref.String(), "error", err)
	}
}

// madeDirs returns the folders in the container's list; none if it has no list
// of its own. The list is foreign text: lines that are not paths are ignored.
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

// removeMade removes the folders that are empty. It logs those that rmdir cannot
// remove, or all if the image has no rmdir.
func (j *Job) removeMade(ctx context.Context, dirs []string) error {
	for _, dir := range dirs {
		out, code, err := j.Source.Run(ctx, j.Container.ID, source.ExecSpec{User: "0", Cmd: []string{"rmdir", dir}})
		if err != nil {
			return fmt.Errorf("remove %s: %w", dir, err)
		}
		if code != 0 {
			j.Log.Info("a working directory was not removed",
				"sandbox", j.Container.Name, "path", dir, "reason", logging.Line(string(out), 200))
		}
	}
	return nil
}
