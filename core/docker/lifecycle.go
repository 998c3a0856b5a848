package docker

import (
	"context"
	"math"
	"time"

	"github.com/docker/docker/api/types/container"
)

// StartContainer implements source.Source.
func (e *Engine) StartContainer(ctx context.Context, id string) error {
	if err := e.begin(ctx, id); err != nil {
		return err
	}
	return e.fail("start", id, e.cli.ContainerStart(ctx, id, container.StartOptions{}))
}

// StopContainer sends SIGTERM, or the image's own signal, and SIGKILL after
// timeout, rounded up to whole seconds.
func (e *Engine) StopContainer(ctx context.Context, id string, timeout time.Duration) error {
	if err := e.begin(ctx, id); err != nil {
		return err
	}
	return e.fail("stop", id, e.cli.ContainerStop(ctx, id, container.StopOptions{Timeout: wholeSeconds(timeout)}))
}

func wholeSeconds(d time.Duration) *int {
	if d < 0 {
		return nil
	}
	seconds := int(math.Ceil(d.Seconds()))
	return &seconds
}
