package sandbox

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

// Eject stops the daemon of ref and removes its binary and log from the
// container, and the working directory that was made for it if it is empty, as
// if it had never been there. Where the container has no rm, the files are
// emptied instead, which the problem "emptied" then says. A daytona that the
// image brought along stays.
func (s *Sandboxes) Eject(ctx context.Context, ref api.Ref) error {
	c, err := s.inspect(ctx, ref)
	if err != nil {
		return err
	}
	if c.HostNetwork || c.SharesNetworkOf != "" {
		return conflict(ref,
			ref.String()+" uses the network of another sandbox, and so its daemon", "eject the daemon of that one")
	}
	if err := s.why.notRunning(ref, c.State); err != nil {
		return err
	}
	return s.stopDaemon(ctx, ref, func() error { return s.takeOut(ctx, ref, c) })
}

// takeOut removes what is the daemon's from a container in which it has ended.
// The note of the folders goes last, so that a removal that fails can be repeated.
func (s *Sandboxes) takeOut(ctx context.Context, ref api.Ref, c source.Container) error {
	if err := s.removeMade(ctx, c, s.madeDirs(ctx, c)); err != nil {
		return s.why.refused(ref, "remove the working directory of", source.HintExec, err)
	}
	var files []string
	for _, file := range []string{path.Join(s.o.Config.InstallDir, "daemon-proxy"), path.Join(s.o.Config.InstallDir, "daytona")} {
		ours, err := s.isOurs(ctx, c, file)
		if err != nil {
			return s.why.refused(ref, "show "+file+" in", source.HintFiles, err)
		}
		if ours {
			files = append(files, file)
		}
	}
	for _, file := range []string{logName, s.madeFile()} {
		if stat, err := s.o.Source.Stat(ctx, c.ID, file); err == nil && stat.Mode.IsRegular() {
			files = append(files, file)
		}
	}
	return s.remove(ctx, ref, c, files)
}

// isOurs says whether a file in a container is a daemon that this program
// copied there: the built-in one of any version, or the daytona that it injects.
func (s *Sandboxes) isOurs(ctx context.Context, c source.Container, file string) (bool, error) {
	content, stat, err := s.o.Source.CopyOut(ctx, c.ID, file)
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
	configured := s.o.Config.BinarySourcePath
	if configured == "" {
		configured = defaultDaytona
	}
	if s.o.Config.InjectionMode == "direct" {
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
func (s *Sandboxes) remove(ctx context.Context, ref api.Ref, c source.Container, files []string) error {
	if len(files) == 0 {
		return nil
	}
	// The shell also finds logs that were rotated; without one rm alone must do.
	command := append([]string{"/bin/sh", "-c", `rm -f "$0" "$@" ` + logGlob}, files...)
	_, code, err := s.o.Source.Run(ctx, c.ID, source.ExecSpec{User: "0", Cmd: command})
	if err == nil && code != 0 {
		_, _, err = s.o.Source.Run(ctx, c.ID, source.ExecSpec{User: "0", Cmd: append([]string{"rm", "-f"}, files...)})
	}
	if err != nil {
		return s.why.refused(ref, "remove the daemon from", source.HintExec, err)
	}
	var left []string
	for _, file := range files {
		if _, err := s.o.Source.Stat(ctx, c.ID, file); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := s.o.Source.CopyIn(ctx, c.ID, path.Dir(file), emptied(path.Base(file))); err != nil {
			return s.why.refused(ref, "remove "+file+" from", source.HintFiles, err)
		}
		left = append(left, file)
	}
	if len(left) > 0 {
		return problem(ref, api.CodeEmptied,
			fmt.Sprintf("the image of %s has no rm: %s stay there with 0 bytes", ref, strings.Join(left, " and ")),
			"they do no harm; a new container has none of them")
	}
	s.log.Info("daemon taken out", "sandbox", ref.String(), "files", strings.Join(files, " "))
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
