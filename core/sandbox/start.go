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
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"

	"daemon-proxy/core/api"
	"daemon-proxy/core/daemon"
	"daemon-proxy/core/sandbox/source"
)

const (
	// pollEvery is how often a starting daemon is asked.
	pollEvery = 10 * time.Millisecond
	// drainFor bounds the wait for the last output of a process that has ended.
	drainFor = time.Second
	// keepOutput is how much of a daemon's output is kept.
	keepOutput = 64 << 10
)

// logName is the daemon's log inside the sandbox.
const logName = "/tmp/daemon-proxy-daemon.log"

// process is a daemon that this program started.
type process struct {
	source.Process
	log     string        // its log in the container; empty: its output is kept here
	drained chan struct{} // closed when its output has ended; nil on the host

	mu   sync.Mutex
	tail []byte
}

// Write keeps the end of the output.
func (p *process) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tail = append(p.tail, b...)
	if over := len(p.tail) - keepOutput; over > 0 {
		p.tail = append(p.tail[:0], p.tail[over:]...)
	}
	return len(b), nil
}

// start makes the working directory, starts the daemon there and waits until
// it answers.
func (in *injection) start() error {
	dir := in.workDir()
	in.doing(api.StepStart, "starting in %s", dir)
	if err := in.makeDir(dir); err != nil {
		return err
	}
	p, err := in.launch(dir)
	if err != nil {
		return err
	}
	in.s.mu.Lock()
	in.box.process = p
	in.s.mu.Unlock()
	in.did(api.StepStart, "started in %s", dir)
	return in.await(p)
}

// workDir is where the daemon starts: where it was told to, else where the
// container's own process did, else in /workspace, which is made; in a
// container that cannot be written the root must do.
func (in *injection) workDir() string {
	dir := in.s.o.Config.WorkDir
	if dir == "" {
		dir = in.c.WorkingDir
	}
	if dir != "" && (dir != "/" || in.binary.builtIn) {
		return dir
	}
	const usual = "/workspace"
	if base, _ := in.writable(usual); base == "" {
		if _, err := in.s.o.Source.Stat(in.ctx, in.c.ID, usual); err != nil {
			return "/"
		}
	}
	return usual
}

// makeDir makes the working directory if it is missing: no generation of the
// daemon starts in one that does not exist.
func (in *injection) makeDir(dir string) error {
	stat, err := in.s.o.Source.Stat(in.ctx, in.c.ID, dir)
	if err == nil && (stat.Mode.IsDir() || stat.LinkTarget != "") {
		return nil
	}
	if err == nil {
		return problem(in.ref, api.CodeWorkDir,
			fmt.Sprintf("%s in %s is not a folder", dir, in.ref), "set daemon.work_dir to a folder")
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	base, why := in.writable(dir)
	var archive bytes.Buffer
	w := tar.NewWriter(&archive)
	err = errors.Join(w.WriteHeader(&tar.Header{Name: within(base, dir) + "/", Mode: 0o777, Typeflag: tar.TypeDir, ModTime: time.Now()}), w.Close())
	switch {
	case base == "":
		err = errors.New(why)
	case err == nil:
		in.noteMade(path.Clean(dir))
		err = in.s.o.Source.CopyIn(in.ctx, in.c.ID, base, &archive)
	}
	if err != nil {
		return problem(in.ref, api.CodeWorkDir,
			fmt.Sprintf("the folder %s does not exist in %s and cannot be made: %v", dir, in.ref, err),
			"set daemon.work_dir to a folder that exists").Because(err)
	}
	return nil
}

// launch starts the daemon. Its output goes to a log in the sandbox where a
// shell can redirect it, and is kept by this program where there is none.
func (in *injection) launch(dir string) (*process, error) {
	spec := source.ExecSpec{WorkDir: dir, Cmd: []string{in.target}}
	p := &process{drained: make(chan struct{})}
	if in.binary.builtIn {
		spec.Cmd = append(spec.Cmd, "toolbox", "--addr", ":"+strconv.Itoa(in.s.o.Config.Port), "--log-file", logName)
		spec.Env = append(spec.Env, daemon.SecretEnv+"="+in.s.keys.secret(in.c.ID))
		p.log = logName
	} else {
		spec.Env = append(spec.Env, "DAYTONA_SANDBOX_ID="+in.c.ID, "DAYTONA_PROJECT_DIR="+dir, markEnv+"="+in.s.keys.mark(in.c.ID))
		if in.binary.workDirFlag {
			spec.Cmd = append(spec.Cmd, "--work-dir", dir)
		}
		_, shellErr := in.s.o.Source.Stat(in.ctx, in.c.ID, "/bin/sh")
		_, tmpErr := in.s.o.Source.Stat(in.ctx, in.c.ID, path.Dir(logName))
		if shellErr == nil && tmpErr == nil && !in.c.ReadOnlyRoot {
			// A log that cannot be written, because another user's stands there, must not stop it.
			spec.Cmd = append([]string{"/bin/sh", "-c", `(: >` + logName + `) 2>/dev/null && exec "$0" "$@" >` + logName + ` 2>&1; exec "$0" "$@"`}, spec.Cmd...)
			p.log = logName
		}
	}
	for name, value := range in.s.o.Config.Env {
		spec.Env = append(spec.Env, name+"="+value)
	}
	started, err := in.s.o.Source.Start(in.ctx, in.c.ID, spec)
	if err != nil {
		return nil, fmt.Errorf("start the daemon: %w", err)
	}
	p.Process = started
	// The process goes on when its output is not read any more: that ends with us.
	in.s.group.Go(func() {
		defer close(p.drained)
		defer func() { _ = p.Close() }()
		defer context.AfterFunc(in.s.ctx, func() { _ = p.Close() })()
		_, _ = io.Copy(p, p.Output()) // it ends when the process or the program does
	})
	return p, nil
}

// await polls until the daemon answers, ends, or its time is over.
func (in *injection) await(p *process) error {
	timeout := in.s.o.Config.StartupTimeout
	in.doing(api.StepWait, "waiting for it to answer")
	ctx, cancel := context.WithTimeout(in.ctx, timeout)
	defer cancel()
	var misplaced *api.Problem // why what answers is not used
	ended := make(chan int, 1) // the engine is asked beside the polling, which must not wait for it
	in.s.group.Go(func() {
		if code, err := p.Wait(ctx); err == nil {
			ended <- code
		}
	})
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		select {
		case <-ctx.Done():
			if err := in.ctx.Err(); err != nil {
				in.end()
				return err
			}
			words := in.lastWords(p)
			in.end()
			if misplaced != nil {
				return misplaced
			}
			return problem(in.ref, api.CodeStartTimeout,
				fmt.Sprintf("the daemon in %s was started but did not listen on port %d within %v, and was ended%s", in.ref, in.s.o.Config.Port, timeout, words),
				"raise daemon.startup_timeout, or see its log in the container: "+logName)
		case code := <-ended:
			return in.exited(p, code)
		case <-poll.C:
			f, err := in.box.meet(ctx, in.c)
			misplaced = in.s.why.misplaced(in.ref, in.c, err)
			if errors.Is(err, errElsewhere) {
				in.end()
				return misplaced
			}
			if err != nil {
				continue
			}
			f.Started = time.Now()
			in.adopt = f
			in.box.update(func(b *box) { b.Daemon.Started = true })
			in.did(api.StepWait, "%s %s answers", f.Kind, f.Version)
			return nil
		}
	}
}

// exited is the problem of a daemon that ended while it should have started.
func (in *injection) exited(p *process, code int) error {
	select {
	case <-p.drained:
	case <-time.After(drainFor): // a child of it may hold its output open
	case <-in.ctx.Done():
	}
	words := in.lastWords(p)
	if strings.Contains(words, "address already in use") {
		return problem(in.ref, api.CodePortTaken,
			fmt.Sprintf("port %d of %s is used by something else%s", in.s.o.Config.Port, in.ref, words), portHint)
	}
	if code == 126 && strings.Contains(words, "chdir to cwd") {
		return problem(in.ref, api.CodeWorkDir, "the daemon could not be started"+words,
			"set daemon.work_dir to a folder that exists")
	}
	hint := "see the daemon's own message; leave binary_source_path empty to use the built-in daemon"
	if in.binary.builtIn {
		hint = "see the daemon's own message"
	}
	return problem(in.ref, api.CodeDaemonExited,
		fmt.Sprintf("the daemon in %s ended at once with exit code %d%s", in.ref, code, words), hint)
}

// lastWords is what the daemon wrote last, ready to be appended to a sentence.
func (in *injection) lastWords(p *process) string {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(in.ctx), cleanTimeout)
	defer cancel()
	if words := in.s.output(ctx, in.c.ID, p); words != "" {
		return "; its last words: " + words
	}
	return ""
}

// lastWords of a daemon that has gone down.
func (b *box) lastWords() string {
	b.set.mu.Lock()
	p, id := b.process, b.ID
	b.set.mu.Unlock()
	if p == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(b.set.ctx, callTimeout)
	defer cancel()
	return b.set.output(ctx, id, p)
}

// output is the end of what a daemon wrote, in one line that may be shown.
func (s *Sandboxes) output(ctx context.Context, id string, p *process) string {
	p.mu.Lock()
	raw := bytes.Clone(p.tail)
	p.mu.Unlock()
	if len(bytes.TrimSpace(raw)) == 0 && p.log != "" {
		if content, stat, err := s.o.Source.CopyOut(ctx, id, p.log); err == nil {
			defer content.Close()
			if skip := stat.Size - keepOutput; skip > 0 {
				_, _ = io.CopyN(io.Discard, content, skip) // an error shows in the next read
			}
			raw, _ = io.ReadAll(io.LimitReader(content, keepOutput))
		}
	}
	return shown(raw)
}

// shown is the end of an output in one line that may be shown.
func shown(raw []byte) string {
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	const most = 5
	text := strings.Join(lines[max(0, len(lines)-most):], " / ")
	text = strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, text)
	if runes := []rune(text); len(runes) > 600 {
		text = "…" + string(runes[len(runes)-600:])
	}
	return strings.TrimSpace(text)
}
