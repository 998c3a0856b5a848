package docker

import (
	"context"
	"math"
	"time"

	"github.com/docker/docker/api/types/container"
)

// StartContainer starts a container; one that runs already is no error.
func (e *Engine) StartContainer(ctx context.Context, id string) error {
	if err := e.begin(ctx, id); err != nil {
		return err
	}
	return e.fail("start", id, e.cli.ContainerStart(ctx, id, container.StartOptions{}))
}

// StopContainer asks the main process to end (SIGTERM, or what the image says)
// and kills it after timeout, counted in whole seconds; 0 kills at once,
// a negative one leaves it to the container's own setting. It returns once
// the container has stopped.
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
