package docker

import (
	"context"
	"fmt"
	"io"
	"strconv"

	"github.com/docker/docker/api/types/container"
)

// Logs merges standard output and error in the engine's order. With follow the
// reader ends when the container does, or ctx.
func (e *Engine) Logs(ctx context.Context, id string, tail int, follow bool) (io.ReadCloser, error) {
	if err := e.begin(ctx, id); err != nil {
		return nil, err
	}
	info, err := e.cli.ContainerInspect(ctx, id)
	if err != nil {
		return nil, e.fail("read the logs of", id, err)
	}
	if info.Config == nil {
		return nil, fmt.Errorf("read the logs of %s: the engine does not say how it was configured", id)
	}
	lines := "all"
	if tail >= 0 {
		lines = strconv.Itoa(tail)
	}
	options := container.LogsOptions{ShowStdout: true, ShowStderr: true, Tail: lines, Follow: follow}
	body, err := e.cli.ContainerLogs(ctx, id, options)
	if err != nil {
		return nil, e.fail("read the logs of", id, err)
	}
	if info.Config.Tty {
		return body, nil // one raw stream
	}
	return struct {
		io.Reader
		io.Closer
	}{&frames{r: body}, body}, nil
}
