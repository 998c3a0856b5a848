package docker

import (
	"context"
	"io"
	"net"

	"github.com/docker/docker/api/types/container"

	"daemon-proxy/core/sandbox/source"
)

var _ source.Piper = (*Engine)(nil)

// pipe is the connection to an exec: Read is the process's output.
type pipe struct {
	net.Conn
	output io.Reader
}

// OpenPipe implements source.Piper.
func (e *Engine) OpenPipe(
	ctx context.Context, id string, spec source.ExecSpec, complaints io.Writer,
) (net.Conn, error) {
	if err := e.begin(ctx, id); err != nil {
		return nil, err
	}
	created, err := e.cli.ContainerExecCreate(ctx, id, container.ExecOptions{
		Cmd: spec.Cmd, Env: spec.Env, WorkingDir: spec.WorkDir, User: spec.User,
		AttachStdin: true, AttachStdout: true, AttachStderr: true, DetachKeys: detachKeys,
	})
	if err != nil {
		return nil, e.failExec(ctx, id, err)
	}
	conn, stream, err := e.attach(ctx, created.ID, false)
	if err != nil {
		return nil, e.failExec(ctx, id, err)
	}
	return &pipe{conn, &frames{r: stream, complaints: complaints}}, nil
}

// Read implements io.Reader.
func (p *pipe) Read(b []byte) (int, error) { return p.output.Read(b) }
