package docker

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/image"
)

// ImportImage creates an image from a tar stream of its root file system.
// Changes are lines of a Dockerfile: `CMD ["/app"]`, `LABEL a=b`.
func (e *Engine) ImportImage(ctx context.Context, name string, tar io.Reader, changes ...string) error {
	if err := e.ready(ctx); err != nil {
		return err
	}
	from := image.ImportSource{Source: tar, SourceName: "-"}
	answer, err := e.cli.ImageImport(ctx, from, name, image.ImportOptions{Changes: changes})
	if err != nil {
		return e.fail("import", name, err)
	}
	defer answer.Close()
	// An error after the head of the answer is in its body.
	for decoder := json.NewDecoder(answer); ; {
		var line struct{ Error string }
		if err := decoder.Decode(&line); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("import %s: %w", name, err)
		}
		if line.Error != "" {
			return fmt.Errorf("import %s: the engine: %s", name, line.Error)
		}
	}
}

// ImageLabel returns a label of an image; exists is false if there is no such image.
func (e *Engine) ImageLabel(ctx context.Context, name, label string) (value string, exists bool, err error) {
	if err := e.ready(ctx); err != nil {
		return "", false, err
	}
	info, err := e.cli.ImageInspect(ctx, name)
	if errdefs.IsNotFound(err) {
		return "", false, nil
	}
	if err != nil {
		return "", false, e.fail("inspect the image", name, err)
	}
	if info.Config != nil {
		value = info.Config.Labels[label]
	}
	return value, true, nil
}

// RemoveImage removes an image; one that does not exist is not an error.
func (e *Engine) RemoveImage(ctx context.Context, name string) error {
	if err := e.ready(ctx); err != nil {
		return err
	}
	_, err := e.cli.ImageRemove(ctx, name, image.RemoveOptions{})
	if errdefs.IsNotFound(err) {
		return nil
	}
	return e.fail("remove the image", name, err)
}

// CreateContainer creates a container from an image without starting it.
func (e *Engine) CreateContainer(
	ctx context.Context, name, imageName string, labels map[string]string,
) (id string, err error) {
	if err := e.begin(ctx, name); err != nil {
		return "", err
	}
	config := container.Config{Image: imageName, Labels: labels}
	created, err := e.cli.ContainerCreate(ctx, &config, &container.HostConfig{}, nil, nil, name)
	if err != nil {
		return "", e.fail("create", name, err)
	}
	return created.ID, nil
}

// RemoveContainer removes a container, running or not; one that does not exist
// is not an error.
func (e *Engine) RemoveContainer(ctx context.Context, nameOrID string) error {
	if err := e.begin(ctx, nameOrID); err != nil {
		return err
	}
	for try := 1; ; try++ {
		err := e.cli.ContainerRemove(ctx, nameOrID, container.RemoveOptions{Force: true, RemoveVolumes: true})
		if err == nil || errdefs.IsNotFound(err) {
			return nil
		}
		// Something may still be writing there, or have it mounted.
		if try == maxRemovals || !strings.Contains(err.Error(), "failed to remove root filesystem") {
			return e.fail("remove", nameOrID, err)
		}
		select {
		case <-time.After(removeAgain):
		case <-ctx.Done():
			return e.fail("remove", nameOrID, ctx.Err())
		}
	}
}

const (
	// maxRemovals is how often the removal of a container is tried whose files
	// cannot be removed, removeAgain the time between.
	maxRemovals = 4
	removeAgain = 500 * time.Millisecond
)
