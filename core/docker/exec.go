package docker

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"

	"daemon-proxy/core/api"
	"daemon-proxy/core/sandbox/source"
)

// maxRunOutput bounds what Run keeps of a process's output.
const maxRunOutput = 1 << 20

// The pauses between two polls of Wait, from the first to the longest.
const (
	firstPause = 5 * time.Millisecond
	lastPause  = 250 * time.Millisecond
)

// process is a source.Process: an exec.
type process struct {
	id        string
	engine    *Engine
	container string
	conn      net.Conn
	output    io.Reader
	started   atomic.Bool // it has been seen running, or its output has ended
}

// Start returns as soon as the engine has accepted the process. A process whose
// output nobody reads blocks once the engine's buffers are full.
func (e *Engine) Start(ctx context.Context, id string, spec source.ExecSpec) (source.Process, error) {
	if err := e.begin(ctx, id); err != nil {
		return nil, err
	}
	created, err := e.cli.ContainerExecCreate(ctx, id, container.ExecOptions{
		Cmd: spec.Cmd, Env: spec.Env, WorkingDir: spec.WorkDir, User: spec.User, Tty: spec.Tty,
		AttachStdout: true, AttachStderr: true,
	})
	if err != nil {
		return nil, e.failExec(ctx, id, err)
	}
	conn, stream, err := e.attach(ctx, created.ID, spec.Tty)
	if err != nil {
		return nil, e.failExec(ctx, id, err)
	}
	if !spec.Tty {
		stream = &frames{r: stream}
	}
	p := &process{id: created.ID, engine: e, container: id, conn: conn}
	p.output = &processOutput{r: stream, process: p}
	return p, nil
}

// Output implements source.Process.
func (p *process) Output() io.Reader { return p.output }

// Close implements source.Process.
func (p *process) Close() error { return p.conn.Close() }

// Running implements source.Process.
func (p *process) Running(ctx context.Context) (running bool, exitCode int, err error) {
	info, err := p.engine.cli.ContainerExecInspect(ctx, p.id)
	if err != nil {
		return false, 0, p.engine.fail("inspect the process in", p.container, err)
	}
	// The engine accepts the attachment a moment before it starts the process.
	// Until then there is neither a pid nor an exit code.
	if !info.Running && info.Pid == 0 && info.ExitCode == 0 && !p.started.Load() {
		return true, 0, nil
	}
	if info.Running {
		p.started.Store(true)
	}
	return info.Running, info.ExitCode, nil
}

// Wait implements source.Process: it polls, because the engine has no call that waits.
func (p *process) Wait(ctx context.Context) (exitCode int, err error) {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		select {
		case <-ctx.Done():
			return 0, fmt.Errorf("wait for the process in %s: %w", p.container, ctx.Err())
		case <-timer.C:
		}
		running, code, err := p.Running(ctx)
		if err != nil || !running {
			return code, err
		}
		timer.Reset(pause)
	}
}

// Run is Start and Wait. When ctx ends, Run does; the process continues.
func (e *Engine) Run(ctx context.Context, id string, spec source.ExecSpec) (out []byte, exitCode int, err error) {
	p, err := e.Start(ctx, id, spec)
	if err != nil {
		return nil, 0, err
	}
	defer func() { err = errors.Join(err, ignoreClosed(p.Close())) }()
	stop := context.AfterFunc(ctx, func() { _ = p.Close() }) // ends the reading; closed once more above
	defer stop()

	out, err = io.ReadAll(io.LimitReader(p.Output(), maxRunOutput))
	if err == nil {
		_, err = io.Copy(io.Discard, p.Output())
	}
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	if err != nil {
		return out, 0, fmt.Errorf("run %s in %s: %w", first(spec.Cmd), id, err)
	}
	exitCode, err = p.Wait(ctx)
	return out, exitCode, err
}

func first(cmd []string) string {
	if len(cmd) == 0 {
		return "nothing"
	}
	return cmd[0]
}

func ignoreClosed(err error) error {
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// processOutput sets started at the end of the output.
type processOutput struct {
	r       io.Reader
	process *process
}

// Read implements io.Reader.
func (o *processOutput) Read(p []byte) (int, error) {
	n, err := o.r.Read(p)
	if errors.Is(err, io.EOF) {
		o.process.started.Store(true)
	}
	return n, err
}

// failExec is fail for an exec. A "conflict", and on Podman an internal error,
// may mean that the container does not run: its state says why.
func (e *Engine) failExec(ctx context.Context, id string, err error) error {
	if !errdefs.IsConflict(err) && (!e.libpod.Load() || !errdefs.IsInternal(err)) {
		return e.fail("run in", id, err)
	}
	info, inspectErr := e.cli.ContainerInspect(ctx, id)
	if inspectErr != nil || info.ContainerJSONBase == nil || info.State == nil {
		return e.fail("run in", id, errors.Join(err, inspectErr))
	}
	name, state := nameOf(info.ID, []string{info.Name}), stateOf(info.State.Status)
	code, hint := api.CodeSandboxStopped, e.Hint(source.HintStart, name)
	switch state {
	case api.ContainerPaused:
		code, hint = api.CodeSandboxPaused, e.Hint(source.HintUnpause, name)
	case api.ContainerRestarting:
		code, hint = api.CodeSandboxBusy, "see why: "+e.Hint(source.HintLogs, name)
	case api.ContainerRunning:
		return e.fail("run in", id, err) // it runs again, or the error has another cause
	}
	return api.NewProblem(code, fmt.Sprintf("the container %s is %s", name, state), hint).In(name, 0).Because(err)
}
