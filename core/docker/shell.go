package docker

import (
	"context"

	"github.com/docker/docker/api/types/container"

	"daemon-proxy/core/sandbox/source"
)

// terminal is a source.Terminal: an exec with its connection.
type terminal struct{ process }

// detachKeys replaces the engine's own detach keys, ctrl-p ctrl-q, by a sequence
// that nobody types: a program in the terminal gets those two as any other key.
const detachKeys = "ctrl-^,ctrl-_,ctrl-^,ctrl-_,ctrl-^,ctrl-_,ctrl-^,ctrl-_"

// OpenTerminal implements source.Source.
func (e *Engine) OpenTerminal(
	ctx context.Context, id string, spec source.ExecSpec, columns, rows int,
) (source.Terminal, error) {
	if err := e.begin(ctx, id); err != nil {
		return nil, err
	}
	size := [2]uint{uint(max(rows, 1)), uint(max(columns, 1))}
	created, err := e.cli.ContainerExecCreate(ctx, id, container.ExecOptions{
		Cmd: spec.Cmd, Env: spec.Env, WorkingDir: spec.WorkDir, User: spec.User,
		Tty: true, AttachStdin: true, AttachStdout: true, AttachStderr: true, ConsoleSize: &size, DetachKeys: detachKeys,
	})
	if err != nil {
		return nil, e.failExec(ctx, id, err)
	}
	conn, output, err := e.attach(ctx, created.ID, true)
	if err != nil {
		return nil, e.failExec(ctx, id, err)
	}
	t := &terminal{process{engine: e, id: created.ID, container: id, conn: conn}}
	t.output = &processOutput{r: output, process: &t.process}
	// Engines before API 1.42 know no size at the start. One that has ended
	// already needs none.
	_ = t.Resize(ctx, columns, rows)
	return t, nil
}

// Read implements io.Reader.
func (t *terminal) Read(p []byte) (int, error) { return t.output.Read(p) }

// Write implements io.Writer.
func (t *terminal) Write(p []byte) (int, error) { return t.conn.Write(p) }

// Close implements io.Closer.
func (t *terminal) Close() error { return ignoreClosed(t.conn.Close()) }

// Resize implements source.Terminal.
func (t *terminal) Resize(ctx context.Context, columns, rows int) error {
	size := container.ResizeOptions{Width: uint(max(columns, 1)), Height: uint(max(rows, 1))}
	err := t.engine.cli.ContainerExecResize(ctx, t.id, size)
	return t.engine.fail("resize the terminal in", t.container, err)
}
