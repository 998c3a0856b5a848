package inject

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/sandbox/source"
)

// TakeOut removes what is the daemon's from a container in which it has ended.
// The note of the folders goes last, so that a removal that fails can be repeated.
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

// isOurs says whether a file in a container is a daemon that this program
// copied there: the built-in one of any version, or the daytona that it injects.
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
		return true, nil // what a cut copy or an earlier removal left
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
		return false, nil // there is none that could have been copied
	}
	defer own.Close()
	return sameContent(own, content)
}

// remove takes files away with the container's rm, else makes them empty.
func (j *Job) remove(ctx context.Context, files []string) error {
	if len(files) == 0 {
		return nil
	}
	// The shell also finds logs that were rotated; without one rm alone must do.
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
		if err := j.Source.CopyIn(ctx, j.Container.ID, path.Dir(file), emptied(path.Base(file))); err != nil {
			return j.Refused("remove "+file+" from", source.HintFiles, err)
		}
		left = append(left, file)
	}
	if len(left) > 0 {
		return problem(j.Ref, api.CodeEmptied,
			fmt.Sprintf("the image of %s has no rm: %s stay there with 0 bytes", j.Ref, strings.Join(left, " and ")),
			"they do no harm; a new container has none of them")
	}
	j.Log.Info("daemon taken out", "sandbox", j.Ref.String(), "files", strings.Join(files, " "))
	return nil
}

// logGlob are the logs that were rotated, in the words of a shell.
const logGlob = "/tmp/daemon-proxy-daemon-*.log"

// emptied is a tar of a file of 0 bytes that cannot be executed.
func emptied(name string) *bytes.Buffer {
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	_ = w.WriteHeader(&tar.Header{Name: name, Typeflag: tar.TypeReg, ModTime: time.Now()}) // a buffer takes all
	_ = w.Close()
	return &archive
}
