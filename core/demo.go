package core

import (
	"archive/tar"
	"context"
	"crypto/sha256"
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
	"daemon-proxy/core/docker"
	"daemon-proxy/core/sandbox/inject"
	"daemon-proxy/core/sandbox/source"
)

// What the demo sandbox is made of.
const (
	DemoName    = "daemon-proxy-demo" // the container's name
	DemoPort    = 8080                // where its page is
	DemoCommand = "demo-page"         // the subcommand that serves the page
	demoImage   = "daemon-proxy-demo:latest"
	demoLabel   = "daemon-proxy.demo" // on image and container: which build they are of
	// demoAppears bounds the wait for the container to be listed.
	demoAppears = 5 * time.Second
)

// Demo starts the demo sandbox, puts a daemon into it and gives its link. What
// is there already is used again.
func (c *Core) Demo(ctx context.Context) (api.Link, error) {
	c.Settle()
	s := c.current.Load()
	if status := s.status(); s.engine == nil || status.State != "connected" {
		p := api.NewProblem(api.CodeEngineUnreachable,
			"the demo sandbox is a container, and no Docker engine answers", "install or start Docker")
		if status.Error != nil {
			p.Detail, p.Hint = p.Detail+": "+status.Error.Error(), status.Error.Hint
		}
		return api.Link{}, p
	}
	if err := startDemo(ctx, s.engine, demoProgram(c.options.Executable)); err != nil {
		return api.Link{}, err
	}
	ref := api.Ref{Engine: s.engine.Name(), Name: DemoName}
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
	return c.LinkTo(ctx, ref, DemoPort, "demo")
}

// RemoveDemo removes the demo sandbox's container and image, and reports whether
// there was either.
func RemoveDemo(ctx context.Context, d config.Docker) (bool, error) {
	e, err := docker.Open(docker.Options{Host: d.Host, Context: d.Context})
	if err != nil {
		return false, err
	}
	was, err := removeDemo(ctx, e)
	return was, errors.Join(err, e.Close())
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
func startDemo(ctx context.Context, e *docker.Engine, executable string) error {
	build, err := demoBuild(executable)
	if err != nil {
		return err
	}
	have, _, err := e.ImageLabel(ctx, demoImage, demoLabel)
	if err != nil {
		return err
	}
	if have != build {
		if err := importDemo(ctx, e, executable, build); err != nil {
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

// demoProgram is the program's Linux build: an engine on a desk of another
// system runs in a machine of the same architecture.
func demoProgram(executable string) string {
	return inject.BuiltIn(executable, "linux/"+runtime.GOARCH)
}

// demoBuild names the build of the program that the demo is made of. It must
// be a static Linux program: nothing else is in the image.
func demoBuild(executable string) (string, error) {
	f, err := os.Open(executable) //nolint:gosec // this program's own file
	if err != nil {
		return "", demoProblem("this program cannot find its own file", err)
	}
	defer f.Close()
	program, err := elf.NewFile(f)
	if err != nil {
		return "", api.NewProblem(api.CodeNotExecutable,
			"the demo sandbox is made from this program's own Linux build, and this is another",
			"run any container that serves a page: docker run -d --name my-sandbox -p 8000 python:3-alpine python -m http.server").Because(err)
	}
	for _, p := range program.Progs {
		if p.Type == elf.PT_INTERP {
			return "", api.NewProblem(api.CodeDynamicBinary,
				"the demo sandbox is made from this program alone, and this build is dynamically linked",
				"build it static: CGO_ENABLED=0 go build")
		}
	}
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(f, 0, 1<<62)); err != nil {
		return "", demoProblem("this program's own file cannot be read", err)
	}
	return fmt.Sprintf("%x", h.Sum(nil))[:16], nil
}

// importDemo makes the image: the program, and a /tmp.
func importDemo(ctx context.Context, e *docker.Engine, executable, build string) error {
	f, err := os.Open(executable) //nolint:gosec // this program's own file
	if err != nil {
		return demoProblem("this program cannot find its own file", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return demoProblem("this program cannot find its own file", err)
	}
	reader, writer := io.Pipe()
	packed := make(chan struct{})
	go func() {
		defer close(packed)
		archive := tar.NewWriter(writer)
		err := archive.WriteHeader(&tar.Header{Name: "tmp/", Mode: 0o1777, Typeflag: tar.TypeDir, ModTime: info.ModTime()})
		if err == nil {
			err = archive.WriteHeader(&tar.Header{Name: "daemon-proxy", Mode: 0o755, Size: info.Size(), Typeflag: tar.TypeReg, ModTime: info.ModTime()})
		}
		if err == nil {
			_, err = io.CopyN(archive, f, info.Size())
		}
		writer.CloseWithError(errors.Join(err, archive.Close()))
	}()
	err = e.ImportImage(ctx, demoImage, reader,
		`ENTRYPOINT ["/daemon-proxy", "`+DemoCommand+`"]`, "LABEL "+demoLabel+"="+build, fmt.Sprintf("EXPOSE %d", DemoPort))
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
