package docker

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/containerd/errdefs"
	"github.com/docker/docker/api/types/container"
	"github.com/docker/docker/api/types/filters"
	"github.com/docker/docker/api/types/image"

	"daemon-proxy/core/sandbox/source"
)

// A helper is a container with one file, a program of this machine, that has the
// network of another container and nothing else of it. Its image has that file
// alone and is made where it is needed; no registry is involved.

var _ source.Helper = (*Engine)(nil)

// helpers is an engine's source.Helper.
type helpers struct{ e *Engine }

const (
	// helperImage is the repository of the images; the tag is of the program's content.
	helperImage = "daemon-proxy-helper"
	// helperLabel marks images and containers; its value is the tag. Containers with
	// it are not listed.
	helperLabel = "daemon-proxy.helper"
	// The owner of a container, and what distinguishes its runs.
	helperOwner = "daemon-proxy.helper.owner"
	helperRun   = "daemon-proxy.helper.run"
	// helperOf is the id of the container whose network it has.
	helperOf = "daemon-proxy.helper.of"

	helperProgram = "/daemon-proxy"
	// helperUser is "nobody" on most systems; nothing in the image has an owner.
	helperUser = "65534:65534"
	// What a helper may use: its program takes 7 MB, and 256 KiB for each
	// connection whose data nobody reads.
	helperMemory = 256 << 20
	helperPids   = 64
	// createHelperWithin bounds the creation of a container.
	createHelperWithin = 10 * time.Second
	// endHelperWithin bounds the removal of a helper that did not start.
	endHelperWithin = 10 * time.Second
	// endHelperLook is how often it is looked at.
	endHelperLook = 20 * time.Millisecond
)

// OpenHelper implements source.Helper.
func (h helpers) OpenHelper(
	ctx context.Context, id string, spec source.HelperSpec, complaints io.Writer,
) (source.HelperConn, error) {
	if err := h.e.begin(ctx, id); err != nil {
		return nil, err
	}
	name, err := h.createHelper(ctx, id, spec)
	if err != nil {
		return nil, h.e.failExec(ctx, id, err)
	}
	conn, err := h.startHelper(ctx, name, complaints)
	if err != nil {
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), endHelperWithin)
		defer cancel()
		return nil, errors.Join(h.e.failExec(ctx, id, err), h.endHelper(ending, name))
	}
	return conn, nil
}

// createHelper returns the id of a new helper. Its image is made if it is missing.
func (h helpers) createHelper(ctx context.Context, id string, spec source.HelperSpec) (string, error) {
	build := spec.Program.Build[:min(len(spec.Program.Build), 16)]
	create := func() (string, error) {
		// A call that is given up may create one nonetheless.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), createHelperWithin)
		defer cancel()
		pids := int64(helperPids)
		created, err := h.e.cli.ContainerCreate(ctx, &container.Config{
			Image: helperImage + ":" + build, Cmd: append([]string{helperProgram}, spec.Args...), User: helperUser,
			Env:       []string{fmt.Sprintf("GOMEMLIMIT=%d", helperMemory*3/4)},
			OpenStdin: true, StdinOnce: true, AttachStdin: true, AttachStdout: true, AttachStderr: true,
			Labels: map[string]string{helperLabel: build, helperOwner: spec.Owner, helperRun: spec.Run, helperOf: id},
		}, &container.HostConfig{
			NetworkMode: container.NetworkMode("container:" + id), AutoRemove: true, ReadonlyRootfs: true,
			CapDrop: []string{"ALL"}, SecurityOpt: []string{"no-new-privileges"},
			LogConfig: container.LogConfig{Type: "none"}, // its output is other people's data
			Resources: container.Resources{Memory: helperMemory, PidsLimit: &pids},
		}, nil, nil, helperName(id))
		return created.ID, err
	}
	for tries := 0; ; tries++ {
		made, err := create()
		if !errdefs.IsNotFound(err) || !strings.Contains(err.Error(), helperImage) || tries == helperImports {
			return made, err
		}
		if err := h.importHelper(ctx, spec.Program, build); err != nil {
			return "", err
		}
	}
}

// helperImports is how often the image is made: another program may remove it
// before it is used.
const helperImports = 5

// helperName is the name of a helper, for people: another start has another one.
func helperName(of string) string {
	return fmt.Sprintf("%s-%.12s-%x", helperImage, of, time.Now().UnixNano())
}

// importHelper makes the image and removes those of other builds that nobody uses.
func (h helpers) importHelper(ctx context.Context, program source.Program, build string) error {
	content, err := program.Open()
	if err != nil {
		return fmt.Errorf("the helper's program: %w", err)
	}
	defer content.Close()
	reader, writer := io.Pipe()
	packed := make(chan struct{})
	go func() { // it ends before this returns
		defer close(packed)
		archive := tar.NewWriter(writer)
		err := archive.WriteHeader(&tar.Header{
			Name: helperProgram[1:], Mode: 0o755, Size: program.Size, Typeflag: tar.TypeReg, ModTime: time.Now(),
		})
		if err == nil {
			_, err = io.CopyN(archive, content, program.Size)
		}
		writer.CloseWithError(errors.Join(err, archive.Close()))
	}()
	err = h.e.ImportImage(ctx, helperImage+":"+build, reader, "LABEL "+helperLabel+"="+build)
	reader.CloseWithError(io.ErrClosedPipe)
	<-packed
	if err == nil {
		_ = h.removeHelperImages(ctx, build) // the next import tries again
	}
	return err
}

// removeHelperImages removes the images of all builds but one, unless they are used.
func (h helpers) removeHelperImages(ctx context.Context, except string) error {
	list := func() ([]image.Summary, error) {
		return h.e.cli.ImageList(ctx, image.ListOptions{Filters: filters.NewArgs(filters.Arg("label", helperLabel))})
	}
	all, err := list()
	for try := 1; err != nil && try < 3; try++ { // Docker 20.10 fails if any image is removed meanwhile
		all, err = list()
	}
	if err != nil {
		return h.e.fail("list the images of", "helpers", err)
	}
	for _, old := range all {
		if old.Labels[helperLabel] != except {
			// One that a helper uses stays, and another program may remove one at the same time.
			_, _ = h.e.cli.ImageRemove(ctx, old.ID, image.RemoveOptions{})
		}
	}
	return nil
}

// startHelper attaches to a helper and starts it.
func (h helpers) startHelper(ctx context.Context, id string, complaints io.Writer) (source.HelperConn, error) {
	query := url.Values{"stream": {"1"}, "stdin": {"1"}, "stdout": {"1"}, "stderr": {"1"}, "detachKeys": {detachKeys}}
	conn, stream, err := h.e.hijack(ctx, h.e.apiURL("/containers/"+id+"/attach")+"?"+query.Encode(), nil)
	if err != nil {
		return nil, err
	}
	if err := h.e.cli.ContainerStart(ctx, id, container.StartOptions{}); err != nil {
		conn.Close()
		return nil, err
	}
	return &helperConn{pipe{conn, &frames{r: stream, complaints: complaints}}, h, id}, nil
}

// helperConn is a source.HelperConn.
type helperConn struct {
	pipe
	helpers helpers
	id      string
}

// End implements source.HelperConn.
func (h *helperConn) End(ctx context.Context) error { return h.helpers.endHelper(ctx, h.id) }

// endHelper removes a helper, which may be removing itself, and waits for that.
func (h helpers) endHelper(ctx context.Context, id string) error {
	for {
		err := h.e.cli.ContainerRemove(ctx, id, container.RemoveOptions{Force: true})
		if errdefs.IsNotFound(err) {
			return nil
		}
		if err != nil && !errdefs.IsConflict(err) {
			return h.e.fail("remove the helper", id, err)
		}
		select {
		case <-ctx.Done():
			return h.e.fail("remove the helper", id, ctx.Err())
		case <-time.After(endHelperLook):
		}
	}
}

// RemoveHelpers implements source.Helper.
func (h helpers) RemoveHelpers(ctx context.Context, owner string, gone func(run string) bool) error {
	if err := h.e.ready(ctx); err != nil {
		return err
	}
	all, err := h.e.cli.ContainerList(ctx, container.ListOptions{
		All: true, Filters: filters.NewArgs(filters.Arg("label", helperOwner+"="+owner)),
	})
	if err != nil {
		return h.e.fail("list", "helpers", err)
	}
	var errs []error
	for _, c := range all {
		if gone(c.Labels[helperRun]) {
			errs = append(errs, h.endHelper(ctx, c.ID))
		}
	}
	return errors.Join(errs...)
}

// RemoveHelperImages implements source.Helper.
func (h helpers) RemoveHelperImages(ctx context.Context) error {
	if err := h.e.ready(ctx); err != nil {
		return err
	}
	return h.removeHelperImages(ctx, "")
}

// isHelper reports whether labels are those of a helper.
func isHelper(labels map[string]string) bool {
	return labels[helperLabel] != "" && labels[helperOf] != ""
}
