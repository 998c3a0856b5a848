package sandbox

import (
	"context"
	"io"

	"daemon-proxy/core/api"
	"daemon-proxy/core/sandbox/source"
)

// control is what can be done with containers, whether or not a daemon is in
// them.
type control struct {
	source source.Source // nil: there is none
	why    problems
}

// inspect returns the current state of the container of ref, for an operation on
// it: the list may be outdated.
func (s control) inspect(ctx context.Context, ref api.Ref) (source.Container, error) {
	if ref.IsHost() {
		return source.Container{}, conflict(ref, "the host is this machine, not a container", "choose a container")
	}
	if s.source == nil || ref.Engine != s.source.Name() {
		return source.Container{}, missing(ref)
	}
	c, err := s.source.Inspect(ctx, ref.Name)
	if err != nil {
		return c, asProblem(ref, err)
	}
	return c, nil
}

// StartContainer starts the container of ref; one that runs already is left alone.
func (s control) StartContainer(ctx context.Context, ref api.Ref) error {
	c, err := s.inspect(ctx, ref)
	switch {
	case err != nil:
		return err
	case c.State == api.ContainerRunning || c.State == api.ContainerRestarting:
		return nil
	case c.State == api.ContainerPaused:
		return s.why.notRunning(ref, c.State)
	}
	if err := s.source.StartContainer(ctx, c.ID); err != nil {
		return s.why.refused(ref, "start", source.HintStart, err)
	}
	return nil
}

// StopContainer stops the container of ref and kills it after its stop timeout;
// one that does not run is left alone.
func (s control) StopContainer(ctx context.Context, ref api.Ref) error {
	c, err := s.inspect(ctx, ref)
	switch {
	case err != nil:
		return err
	case c.State != api.ContainerRunning && c.State != api.ContainerRestarting && c.State != api.ContainerPaused:
		return nil
	}
	if err := s.source.StopContainer(ctx, c.ID, -1); err != nil {
		return s.why.refused(ref, "stop", source.HintStop, err)
	}
	return nil
}

// ContainerLog returns the output of the container's main process: see Source.Logs.
func (s control) ContainerLog(ctx context.Context, ref api.Ref, tail int, follow bool) (io.ReadCloser, error) {
	c, err := s.inspect(ctx, ref)
	if err != nil {
		return nil, err
	}
	log, err := s.source.Logs(ctx, c.ID, tail, follow)
	if err != nil {
		return nil, s.why.refused(ref, "read the log of", source.HintLogs, err)
	}
	return log, nil
}
