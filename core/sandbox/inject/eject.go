package inject

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"daemon-proxy/core/api"
	"daemon-proxy/core/sandbox/source"
)

// TakeOut removes the files of a daemon that has ended from its container. The
// list of folders is removed last, so that a failed removal can be repeated.
func (j *Job) TakeOut(ctx context.Context) error {
	if err := j.removeMade(ctx, j.madeDirs(ctx)); err != nil {
		return j.Refused("remove the working directory of", source.HintExec, err)
	}
	var files []string
	for _, file := range []string{j.installed(true), j.installed(false)} {
		ours, err := j.isOurs(ctx, file)
		if err != nil {
			return j.Refused("show "+file+" in", source.HintFiles, err)
		}
		if ours {
			files = append(files, file)
		}
	}
	for _, file := range []string{LogName, j.madeFile()} {
		if stat, err := j.Source.Stat(ctx, j.Container.ID, file); err == nil && stat.Mode.IsRegular() {
			files = append(files, file)
		}
	}
	return j.remove(ctx, files)
}

// isOurs reports whether a file in a container is a daemon that this program
// copied there: any version of the built-in one, or the daytona that it injects.
func (j *Job) isOurs(ctx context.Context, file string) (bool, error) {
	content, stat, err := j.Source.CopyOut(ctx, j.Container.ID, file)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer content.Close()
	if stat.Size == 0 {
		return true, nil // left by an interrupted copy or an earlier removal
	}
	if path.Base(file) != "daytona" {
		return streamHolds(content, daemonText)
	}
	configured := j.Config.BinarySourcePath
	if configured == "" {
		configured = DefaultDaytona
	}
	if j.Config.InjectionMode == "direct" {
		return false, nil
	}
	own, err := os.Open(configured) //nolint:gosec // the daemon binary that was configured
	if err != nil {
		return false, nil // so it cannot have been copied
	}
	defer own.Close()
	return sameContent(own, content)
}

// remove removes files with the container's rm, or makes them empty if it has none.
func (j *Job) remove(ctx context.Context, files []string) error {
	if len(files) == 0 {
		return nil
	}
	// The shell also expands the names of rotated logs; without one, only rm runs.
	command := append([]string{"/bin/sh", "-c", `rm -f "$0" "$@" ` + logGlob}, files...)
	_, code, err := j.Source.Run(ctx, j.Container.ID, source.ExecSpec{User: "0", Cmd: command})
	if err == nil && code != 0 {
		_, _, err = j.Source.Run(ctx, j.Container.ID, source.ExecSpec{User: "0", Cmd: append([]string{"rm", "-f"}, files...)})
	}
	if err != nil {
		return j.Refused("remove the daemon from", source.HintExec, err)
	}
	var left []string
	for _, file := range files {
		if _, err := j.Source.Stat(ctx, j.Container.ID, file); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		// Empty, and not executable.
		if err := j.put(ctx, path.Dir(file), tar.Header{Name: file, Typeflag: tar.TypeReg}, ""); err != nil {
			return j.Refused("remove "+file+" from", source.HintFiles, err)
		}
		left = append(left, file)
	}
	if len(left) > 0 {
		return j.Ref.Problem(api.CodeEmptied,
			fmt.Sprintf("the image of %s has no rm: %s stay there with 0 bytes", j.Ref, strings.Join(left, " and ")),
			"they are harmless; a new container does not have them")
	}
	j.Log.Info("daemon removed", "sandbox", j.Ref.String(), "files", strings.Join(files, " "))
	return nil
}

// logGlob matches the rotated logs.
const logGlob = "/tmp/daemon-proxy-daemon-*.log"
