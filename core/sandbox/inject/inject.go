// Package inject copies a daemon into one container and starts it, stops it, and
// removes it again.
//
// Nothing is copied before it is known to fit, no partial copy is left behind,
// and no file is replaced or removed unless it is a daemon.
package inject

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/config"
	"daemon-proxy/core/daemon"
	"daemon-proxy/core/sandbox/source"
)

// ErrElsewhere is the error of Job.Meet if what answers is in another container.
var ErrElsewhere = errors.New("what answers there is not in the container")

// CannotRunError is the cause of a problem if no daemon can be put into the
// container, or run there, whatever is tried again.
type CannotRunError struct {
	// Reason is why, as the end of a sentence: "its root is read-only".
	Reason string
	Err    error // may be nil
}

// Error returns the reason, and the error.
func (e CannotRunError) Error() string {
	if e.Err == nil {
		return e.Reason
	}
	return e.Reason + ": " + e.Err.Error()
}

// Unwrap returns the error.
func (e CannotRunError) Unwrap() error { return e.Err }

// Job injects a daemon into one container, or removes it from there.
type Job struct {
	Ref       api.Ref
	Container source.Container
	Source    source.Source
	Config    config.Daemon
	// Executable is the built-in daemon if this program does not contain the small one
	// for the container's platform; CacheDir holds staged copies of others.
	Executable, CacheDir string
	// Secret is the built-in daemon's; Mark identifies a daytona's process as ours.
	Secret, Mark string
	Log          *slog.Logger
	// Report is called with each step; Prepare and Start need it.
	Report Report
	// Meet calls the daemon and checks that it is in the container; Start needs
	// it. An *api.Problem is the reason why the daemon that answers is not used.
	Meet func(context.Context) (daemon.Info, error)
	// Started is called with the process before Start waits for its answer.
	Started func(*Process)
	// Refused makes the problem of a call that the source refused; TakeOut needs it.
	Refused func(doing, verb string, err error) *api.Problem
	// Life is the context of the goroutines in Group that read the daemon's output.
	Life  context.Context
	Group *sync.WaitGroup

	binary binary
	target string // the daemon's path in the container
	base   string // the folder that the tar is unpacked in
}

// Prepare chooses the daemon's binary and makes sure that the container has it.
func (j *Job) Prepare(ctx context.Context) error {
	if j.Config.InjectionMode == "direct" {
		return j.useInside(ctx)
	}
	return j.bring(ctx)
}

// Report reports a step of an injection.
type Report func(api.Injection)

// Doing reports that a step has begun.
func (r Report) Doing(step api.InjectionStep, format string, args ...any) {
	r(api.Injection{Step: step, State: "running", Detail: fmt.Sprintf(format, args...)})
}

// Did reports that a step is done.
func (r Report) Did(step api.InjectionStep, format string, args ...any) {
	r(api.Injection{Step: step, State: "done", Detail: fmt.Sprintf(format, args...)})
}

// useInside uses the container's own binary: injection mode "direct".
func (j *Job) useInside(ctx context.Context) error {
	j.target = j.installed(false)
	j.Report.Doing(api.StepPrepare, "looking for %s in the container", j.target)
	file := j.target
	if stat, err := j.Source.Stat(ctx, j.Container.ID, file); err == nil && stat.LinkTarget != "" {
		file = stat.LinkTarget // the image's own link; it is only read and run
	}
	content, stat, err := j.Source.CopyOut(ctx, j.Container.ID, file)
	if errors.Is(err, fs.ErrNotExist) {
		return j.Ref.Problem(api.CodeBinaryMissing,
			fmt.Sprintf("injection mode \"direct\" uses the container's own %s, and %s has none", j.target, j.Ref),
			"put it into the image, or use --injection-mode volume")
	}
	if err != nil {
		return fmt.Errorf("stat %s: %w", j.target, err)
	}
	defer content.Close()
	if stat.Mode.Perm()&0o111 == 0 {
		return j.Ref.Problem(api.CodeNotExecutable,
			fmt.Sprintf("%s in %s is not executable (mode %v)", j.target, j.Ref, stat.Mode.Perm()),
			"chmod +x it in the image")
	}
	j.binary = binary{path: j.target, size: stat.Size}
	if j.binary.workDirFlag, err = streamHolds(content, workDirHelp); err != nil {
		return fmt.Errorf("read %s in the container: %w", j.target, err)
	}
	j.Report.Did(api.StepPrepare, "%s is there", j.target)
	j.Report(api.Injection{Step: api.StepCopy, State: "skipped", Detail: "direct: nothing is copied"})
	return nil
}

// Program returns the path of the built-in daemon, which is also the bridge, in the container.
func (j *Job) Program() string { return j.installed(true) }

// BuiltIn returns the built-in daemon for the container, which is also the bridge.
func (j *Job) BuiltIn() (source.Program, error) {
	b, err := j.program()
	if err == nil {
		err = b.fits(j.Ref, j.Container.Platform, func(string) error { return fs.ErrNotExist })
	}
	if err != nil {
		return source.Program{}, err
	}
	build, err := b.build()
	return source.Program{Build: build, Size: b.size, Open: b.open}, err
}

// BringProgram makes sure that the container has that file, of this build, whatever its daemon is.
func (j *Job) BringProgram(ctx context.Context) error {
	if j.Config.InjectionMode == "direct" {
		return j.Ref.Problem(api.CodeUnreachable,
			fmt.Sprintf("%s can be reached only by a process in it, and injection mode \"direct\" copies nothing there", j.Ref),
			"use --injection-mode volume, or put daemon-proxy into the image as "+j.Program())
	}
	b, err := j.program()
	if err != nil {
		return err
	}
	return j.install(ctx, b)
}

// bring copies the daemon's binary into the container: mode "volume".
func (j *Job) bring(ctx context.Context) error {
	j.Report.Doing(api.StepPrepare, "preparing the daemon's binary")
	b, err := j.choose()
	if err != nil {
		return err
	}
	return j.install(ctx, b)
}

// install stages a binary and copies it into the container.
func (j *Job) install(ctx context.Context, b binary) error {
	err := b.fits(j.Ref, j.Container.Platform, func(p string) error {
		_, err := j.Source.Stat(ctx, j.Container.ID, p)
		return err
	})
	if err != nil {
		return err
	}
	if b, err = stage(j.CacheDir, b); err != nil {
		return fmt.Errorf("stage the binary: %w", err)
	}
	j.binary = b
	kind := "static"
	if b.interp != "" {
		kind = "dynamic"
	}
	j.Report.Did(api.StepPrepare, "%s, %s binary fits %s", b.name(), kind, b.platform)
	j.target = j.installed(b.builtIn)
	return j.copy(ctx)
}

// writable returns the folder in which the engine must unpack a tar to write
// into dir: the root, or the volume that dir is on, as the engine checks only
// that folder for write access. It is empty, with the reason, if dir cannot be
// written; a tmpfs is not visible from outside.
func (j *Job) writable(dir string) (base, why string) {
	var over *source.Mount
	for i, m := range j.Container.Mounts {
		under := dir == m.Destination || strings.HasPrefix(dir, strings.TrimSuffix(m.Destination, "/")+"/")
		if under && (over == nil || len(m.Destination) > len(over.Destination)) {
			over = &j.Container.Mounts[i]
		}
	}
	switch {
	case over != nil && over.Type == "tmpfs":
		return "", fmt.Sprintf("%s is a tmpfs, which the engine cannot copy to", over.Destination)
	case over != nil && !over.Writable:
		return "", fmt.Sprintf("%s is mounted read-only", over.Destination)
	case over != nil:
		return over.Destination, ""
	case j.Container.ReadOnlyRoot:
		return "", "its root is read-only"
	}
	return "/", ""
}

// put unpacks one entry in base, below which its name is; the size of h is that of
// content.
func (j *Job) put(ctx context.Context, base string, h tar.Header, content string) error {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	h.Name, h.Size, h.ModTime = within(base, h.Name), int64(len(content)), time.Now()
	err := w.WriteHeader(&h)
	if err == nil {
		_, err = io.WriteString(w, content)
	}
	if err = errors.Join(err, w.Close()); err != nil {
		return err
	}
	return j.Source.CopyIn(ctx, j.Container.ID, base, &out)
}

// within returns the name of a path in a tar that is unpacked in base.
func within(base, path string) string {
	return strings.TrimPrefix(strings.TrimPrefix(path, base), "/")
}
