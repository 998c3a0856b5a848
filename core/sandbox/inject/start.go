package inject

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/daemon"
	"daemon-proxy/core/logging"
	"daemon-proxy/core/sandbox/source"
)

const (
	// PollEvery is how often a starting daemon is called.
	PollEvery = 10 * time.Millisecond
	// drainFor bounds the wait for the last output of a process that has ended.
	drainFor = time.Second
	// KeepOutput is how much of a daemon's output is kept.
	KeepOutput = 64 << 10
)

// LogName is the daemon's log inside the sandbox.
const LogName = "/tmp/daemon-proxy-daemon.log"

// toLog runs a command with its output in the log, unless that is another user's
// and cannot be written.
const toLog = `(: >` + LogName + `) 2>/dev/null && exec "$0" "$@" >` + LogName + ` 2>&1; exec "$0" "$@"`

// Process is a daemon that this program started.
type Process struct {
	source.Process
	log     string        // its log in the container; empty: its output is kept here
	drained chan struct{} // closed when its output has ended; nil on the host

	mu   sync.Mutex
	tail []byte
}

// Write keeps only the end of the output.
func (p *Process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tail = append(p.tail, b...)
	if over := len(p.tail) - KeepOutput; over > 0 {
		p.tail = append(p.tail[:0], p.tail[over:]...)
	}
	return len(b), nil
}

// Tail returns the end of the output that this program kept.
func (p *Process) Tail() []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	return bytes.Clone(p.tail)
}

// PortHint is the next step if something else uses the daemon's port.
const PortHint = "stop that service, let it use another port, " +
	"or give the built-in daemon another one: --daemon-port (daemon.port, DAEMON_PORT)"

// Start makes the working directory, starts the daemon in it and waits for its
// answer.
func (j *Job) Start(ctx context.Context) (daemon.Info, error) {
	dir := j.workDir(ctx)
	j.Report.Doing(api.StepStart, "starting in %s", dir)
	if err := j.makeDir(ctx, dir); err != nil {
		return daemon.Info{}, err
	}
	p, err := j.launch(ctx, dir)
	if err != nil {
		return daemon.Info{}, err
	}
	j.Started(p)
	j.Report.Did(api.StepStart, "started in %s", dir)
	return j.await(ctx, p)
}

// workDir returns the folder in which the daemon starts: the configured one, else
// the container's own, else /workspace, or / if that cannot be made.
func (j *Job) workDir(ctx context.Context) string {
	dir := j.Config.WorkDir
	if dir == "" {
		dir = j.Container.WorkingDir
	}
	if dir != "" && (dir != "/" || j.binary.builtIn) {
		return dir
	}
	const usual = "/workspace"
	if base, _ := j.writable(usual); base == "" {
		if _, err := j.Source.Stat(ctx, j.Container.ID, usual); err != nil {
			return "/"
		}
	}
	return usual
}

// makeDir makes the working directory if it is missing: no version of the daemon
// starts in one that does not exist.
func (j *Job) makeDir(ctx context.Context, dir string) error {
	stat, err := j.Source.Stat(ctx, j.Container.ID, dir)
	if err == nil && (stat.Mode.IsDir() || stat.LinkTarget != "") {
		return nil
	}
	if err == nil {
		return j.Ref.Problem(api.CodeWorkDir,
			fmt.Sprintf("%s in %s is not a folder", dir, j.Ref), "set daemon.work_dir to a folder")
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	base, why := j.writable(dir)
	err = errors.New(why)
	if base != "" {
		j.noteMade(ctx, path.Clean(dir))
		err = j.put(ctx, base, tar.Header{Name: dir + "/", Mode: 0o777, Typeflag: tar.TypeDir}, "")
	}
	if err != nil {
		return j.Ref.Problem(api.CodeWorkDir,
			fmt.Sprintf("the folder %s does not exist in %s and cannot be made: %v", dir, j.Ref, err),
			"set daemon.work_dir to a folder that exists").Because(err)
	}
	return nil
}

// launch starts the daemon. A shell redirects its output to a log in the sandbox;
// if there is no shell, this program keeps the output.
func (j *Job) launch(ctx context.Context, dir string) (*Process, error) {
	spec := source.ExecSpec{WorkDir: dir, Cmd: []string{j.target}}
	p := &Process{drained: make(chan struct{})}
	if j.binary.builtIn {
		spec.Cmd = append(spec.Cmd, "toolbox", "--addr", ":"+strconv.Itoa(j.Config.Port), "--log-file", LogName)
		spec.Env = append(spec.Env, daemon.SecretEnv+"="+j.Secret)
		p.log = LogName
	} else {
		spec.Env = append(spec.Env, "DAYTONA_SANDBOX_ID="+j.Container.ID, "DAYTONA_PROJECT_DIR="+dir, markEnv+"="+j.Mark)
		if j.binary.workDirFlag {
			spec.Cmd = append(spec.Cmd, "--work-dir", dir)
		}
		_, shellErr := j.Source.Stat(ctx, j.Container.ID, "/bin/sh")
		_, tmpErr := j.Source.Stat(ctx, j.Container.ID, path.Dir(LogName))
		if shellErr == nil && tmpErr == nil && !j.Container.ReadOnlyRoot {
			spec.Cmd = append([]string{"/bin/sh", "-c", toLog}, spec.Cmd...)
			p.log = LogName
		}
	}
	for name, value := range j.Config.Env {
		spec.Env = append(spec.Env, name+"="+value)
	}
	started, err := j.Source.Start(ctx, j.Container.ID, spec)
	if err != nil {
		return nil, fmt.Errorf("start the daemon: %w", err)
	}
	p.Process = started
	// The process keeps running when this program ends and no longer reads its output.
	j.Group.Go(func() {
		defer close(p.drained)
		defer func() { _ = p.Close() }()
		defer context.AfterFunc(j.Life, func() { _ = p.Close() })()
		_, _ = io.Copy(p, p.Output()) // ends when the process or the program does
	})
	return p, nil
}

// await polls until the daemon answers, ends, or the timeout is over.
func (j *Job) await(whole context.Context, p *Process) (daemon.Info, error) {
	timeout := j.Config.StartupTimeout
	j.Report.Doing(api.StepWait, "waiting for it to answer")
	ctx, cancel := context.WithTimeout(whole, timeout)
	defer cancel()
	var misplaced *api.Problem // why the daemon that answers is not used
	ended := make(chan int, 1) // in a goroutine, as polling must not wait for the engine
	j.Group.Go(func() {
		if code, err := p.Wait(ctx); err == nil {
			ended <- code
		}
	})
	poll := time.NewTicker(PollEvery)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			if err := whole.Err(); err != nil {
				j.end(whole)
				return daemon.Info{}, err
			}
			words := j.lastWords(whole, p)
			j.end(whole)
			if misplaced != nil {
				return daemon.Info{}, misplaced
			}
			return daemon.Info{}, j.Ref.Problem(api.CodeStartTimeout,
				fmt.Sprintf("the daemon in %s was started but did not listen on port %d within %v, and was stopped%s",
					j.Ref, j.Config.Port, timeout, words),
				"raise daemon.startup_timeout, or see its log in the container: "+LogName)
		case code := <-ended:
			return daemon.Info{}, j.exited(whole, p, code)
		case <-poll.C:
			f, err := j.Meet(ctx)
			misplaced, _ = errors.AsType[*api.Problem](err)
			if errors.Is(err, ErrElsewhere) {
				j.end(whole)
				return daemon.Info{}, misplaced
			}
			if err != nil {
				continue
			}
			f.Started = time.Now()
			j.Report.Did(api.StepWait, "%s %s answers", f.Kind, f.Version)
			return f, nil
		}
	}
}

// exited is the problem of a daemon that ended during its start.
func (j *Job) exited(ctx context.Context, p *Process, code int) error {
	select {
	case <-p.drained:
	case <-time.After(drainFor): // a child process may hold its output open
	case <-ctx.Done():
	}
	words := j.lastWords(ctx, p)
	if strings.Contains(words, "address already in use") {
		return j.Ref.Problem(api.CodePortTaken,
			fmt.Sprintf("port %d of %s is used by something else%s", j.Config.Port, j.Ref, words), PortHint)
	}
	if code == 126 && strings.Contains(words, "chdir to cwd") {
		return j.Ref.Problem(api.CodeWorkDir, "the daemon could not be started"+words,
			"set daemon.work_dir to a folder that exists")
	}
	hint := "see the daemon's own message; leave binary_source_path empty to use the built-in daemon"
	if j.binary.builtIn {
		hint = "see the daemon's own message"
	}
	ended := j.Ref.Problem(api.CodeDaemonExited,
		fmt.Sprintf("the daemon in %s ended at once with exit code %d%s", j.Ref, code, words), hint)
	switch {
	case code == cannotExecute:
		return ended.Because(CannotRunError{Reason: "what is copied there cannot be run"})
	case j.binary.builtIn:
		return ended.Because(CannotRunError{Reason: fmt.Sprintf("the daemon ends there with exit code %d", code)})
	}
	return ended
}

// cannotExecute is the exit code of a program that cannot be started.
const cannotExecute = 126

// lastWords returns the end of the daemon's output, to be appended to a sentence.
func (j *Job) lastWords(ctx context.Context, p *Process) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), cleanTimeout)
	defer cancel()
	if words := j.Output(ctx, p); words != "" {
		return "; its last words: " + words
	}
	return ""
}

// Output returns the end of a daemon's output as one printable line.
func (j *Job) Output(ctx context.Context, p *Process) string {
	raw := p.Tail()
	if len(bytes.TrimSpace(raw)) == 0 && p.log != "" {
		if content, stat, err := j.Source.CopyOut(ctx, j.Container.ID, p.log); err == nil {
			defer content.Close()
			if skip := stat.Size - KeepOutput; skip > 0 {
				_, _ = io.CopyN(io.Discard, content, skip) // an error shows in the next read
			}
			raw, _ = io.ReadAll(io.LimitReader(content, KeepOutput))
		}
	}
	return LastWords(raw)
}

// LastWords returns the last lines of an output as one printable line.
func LastWords(raw []byte) string {
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	const most = 5
	text := logging.Line(strings.Join(lines[max(0, len(lines)-most):], " / "), math.MaxInt)
	if runes := []rune(text); len(runes) > 600 {
		text = "…" + string(runes[len(runes)-600:])
	}
	return text
}
