package core

import (
	"archive/tar"
	"context"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"runtime"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/config"
	"daemon-proxy/core/demo"
	"daemon-proxy/core/docker"
	"daemon-proxy/core/inside"
	"daemon-proxy/core/sandbox/source"
	"daemon-proxy/core/version"
)

// What the demo sandbox is made of.
const (
	DemoName  = "daemon-proxy-demo" // the container's name
	demoImage = "daemon-proxy-demo:latest"
	demoLabel = "daemon-proxy.demo" // on image and container: which build they are of
	// demoAppears bounds the wait for the container to be listed.
	demoAppears = 5 * time.Second
)

// Demo starts the demo sandbox, puts a daemon into it and gives its link. What
// is there already is used again.
func (c *Core) Demo(ctx context.Context) (api.Link, error) {
	c.Settle()
	s := c.demoEngine()
	if s == nil {
		status, _ := c.Engine(ctx) // has no error
		p := api.NewProblem(api.CodeEngineUnreachable,
			"the demo sandbox is a container, and no Docker engine answers", "install or start Docker")
		if status.Error != nil {
			p.Detail, p.Hint = p.Detail+": "+status.Error.Error(), status.Error.Hint
		}
		return api.Link{}, p
	}
	program, err := demoProgram(c.options.Executable)
	if err != nil {
		return api.Link{}, err
	}
	if err := startDemo(ctx, s.engine, program); err != nil {
		return api.Link{}, err
	}
	ref := api.Ref{Engine: s.name, Name: DemoName}
	listed, cancel := context.WithTimeout(ctx, demoAppears)
	defer cancel()
	for {
		if box, ok := s.sandboxes.Get(ref); ok && box.Container == api.ContainerRunning {
			break
		}
		if err := s.sandboxes.RetryEngine(listed); err != nil {
			return api.Link{}, err
		}
		if listed.Err() != nil {
			return api.Link{}, demoProblem("the container does not run", nil)
		}
	}
	if err := s.sandboxes.Inject(ctx, ref, nil); err != nil {
		return api.Link{}, err
	}
	return c.LinkTo(ctx, ref, demo.Port, "demo")
}

// demoEngine is the first engine that answers; nil if none does.
func (c *Core) demoEngine() *opened {
	for _, o := range c.all() {
		if o.status().State == "connected" {
			return o
		}
	}
	return nil
}

// RemoveDemo removes the demo sandbox's container and image from the configured
// engines, and reports whether there was either.
func RemoveDemo(ctx context.Context, d config.Docker) (removed bool, err error) {
	for _, options := range configured(d) {
		e, cannot := docker.Open(options)
		if cannot != nil {
			err = errors.Join(err, cannot)
			continue
		}
		was, failed := removeDemo(ctx, e)
		removed, err = removed || was, errors.Join(err, failed, e.Close())
	}
	return removed, err
}

func removeDemo(ctx context.Context, e *docker.Engine) (bool, error) {
	_, was, err := e.ImageLabel(ctx, demoImage, demoLabel)
	if err != nil {
		return false, err
	}
	c, err := e.Inspect(ctx, DemoName)
	switch {
	case errors.Is(err, &api.Problem{Code: api.CodeSandboxMissing}):
	case err != nil:
		return false, err
	default:
		if err := demoOwned(c); err != nil {
			return false, err
		}
		if err := e.RemoveContainer(ctx, c.ID); err != nil {
			return false, err
		}
		was = true
	}
	return was, e.RemoveImage(ctx, demoImage)
}

// demoOwned is a problem if a container of the demo's name is not the demo.
func demoOwned(c source.Container) error {
	if c.Labels[demoLabel] == "" {
		return api.NewProblem(api.CodeForeignFile, "a container "+DemoName+" exists that is not the demo",
			"rename or remove it: docker rm -f "+DemoName).In(DemoName, 0)
	}
	return nil
}

// startDemo makes sure that the demo's container of this build runs.
func startDemo(ctx context.Context, e *docker.Engine, p source.Program) error {
	build := p.Build[:16]
	have, _, err := e.ImageLabel(ctx, demoImage, demoLabel)
	if err != nil {
		return err
	}
	if have != build {
		if err := importDemo(ctx, e, p); err != nil {
			return err
		}
	}
	c, err := e.Inspect(ctx, DemoName)
	missing := errors.Is(err, &api.Problem{Code: api.CodeSandboxMissing})
	if err != nil && !missing {
		return err
	}
	if !missing {
		if err := demoOwned(c); err != nil {
			return err
		}
		if c.Labels[demoLabel] != build { // of another build of this program
			if err := e.RemoveContainer(ctx, c.ID); err != nil {
				return err
			}
			missing = true
		}
	}
	if missing {
		if c.ID, err = e.CreateContainer(ctx, DemoName, demoImage, map[string]string{demoLabel: build}); err != nil {
			return demoProblem("the container cannot be created", err)
		}
	}
	if err := e.StartContainer(ctx, c.ID); err != nil {
		return demoProblem("the container cannot be started", err)
	}
	return nil
}

// demoProgram is the small program for the architecture of this machine, which an
// engine on a desk of another system has too, else this program itself. It must be
// a static Linux program: nothing else is in the image.
func demoProgram(executable string) (source.Program, error) {
	if p, ok := inside.For("linux/" + runtime.GOARCH); ok {
		return source.Program{Build: p.Build, Size: p.Size, Open: p.Open}, nil
	}
	f, err := os.Open(executable) //nolint:gosec // this program's own file
	if err != nil {
		return source.Program{}, demoProblem("this program cannot find its own file", err)
	}
	defer f.Close()
	own, err := elf.NewFile(f)
	if err != nil {
		return source.Program{}, api.NewProblem(api.CodeNotExecutable,
			"the demo sandbox is made from this program's own Linux build, and this is another",
			"use a release of daemon-proxy or build it with `make build`").Because(err)
	}
	for _, p := range own.Progs {
		if p.Type == elf.PT_INTERP {
			return source.Program{}, api.NewProblem(api.CodeDynamicBinary,
				"the demo sandbox is made from this program alone, and this build is dynamically linked",
				"build it static: CGO_ENABLED=0 go build")
		}
	}
	const all = 1 << 62
	content := io.NewSectionReader(f, 0, all)
	build, err := version.Sum(content)
	if err != nil {
		return source.Program{}, demoProblem("this program's own file cannot be read", err)
	}
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return source.Program{}, demoProblem("this program's own file cannot be read", err)
	}
	open := func() (io.ReadCloser, error) { return os.Open(executable) } //nolint:gosec // as above
	return source.Program{Build: build, Size: size, Open: open}, nil
}

// importDemo makes the image: the program, and a /tmp.
func importDemo(ctx context.Context, e *docker.Engine, p source.Program) error {
	content, err := p.Open()
	if err != nil {
		return demoProblem("this program cannot find its own file", err)
	}
	defer content.Close()
	reader, writer := io.Pipe()
	packed := make(chan struct{})
	go func() {
		defer close(packed)
		now := time.Now()
		archive := tar.NewWriter(writer)
		err := archive.WriteHeader(&tar.Header{Name: "tmp/", Mode: 0o1777, Typeflag: tar.TypeDir, ModTime: now})
		if err == nil {
			err = archive.WriteHeader(&tar.Header{Name: "daemon-proxy", Mode: 0o755, Size: p.Size, Typeflag: tar.TypeReg, ModTime: now})
		}
		if err == nil {
			_, err = io.CopyN(archive, content, p.Size)
		}
		writer.CloseWithError(errors.Join(err, archive.Close()))
	}()
	err = e.ImportImage(ctx, demoImage, reader,
		`ENTRYPOINT ["/daemon-proxy", "`+demo.Command+`"]`, "LABEL "+demoLabel+"="+p.Build[:16], fmt.Sprintf("EXPOSE %d", demo.Port))
	reader.CloseWithError(io.ErrClosedPipe)
	<-packed
	if err != nil {
		return demoProblem("its image cannot be built", err)
	}
	return nil
}

func demoProblem(what string, err error) *api.Problem {
	if p, ok := errors.AsType[*api.Problem](err); ok {
		return p
	}
	detail := "the demo sandbox: " + what
	if err != nil {
		detail += ": " + err.Error()
	}
	return api.NewProblem(api.CodeInternal, detail,
		"see docker logs "+DemoName+", or remove it: daemon-proxy demo --remove").In(DemoName, 0).WithStatus(http.StatusBadGateway).Because(err)
}
