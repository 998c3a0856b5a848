package core

import (
	"context"
	"errors"
	"io"
	"io/fs"

	"daemon-proxy/core/api"
	"daemon-proxy/core/logging"
)

// Logs is the end of a log (all of it if tail is negative) and, with follow,
// what comes until ctx ends or the reader is closed. Source is one of the
// api.Log… names. The problem is no_log where there is none.
func (c *Core) Logs(ctx context.Context, ref api.Ref, source string, tail int, follow bool) (io.ReadCloser, error) {
	sandboxes := c.fleet.Load().sandboxes
	switch source {
	case api.LogDaemon:
		if !ref.IsHost() {
			return sandboxes.DaemonLog(ctx, ref, tail, follow)
		}
		return c.programLog(ctx, tail, follow) // the host's daemon is in this program
	case api.LogContainer:
		return sandboxes.ContainerLog(ctx, ref, tail, follow)
	case api.LogProgram:
		return c.programLog(ctx, tail, follow)
	}
	return nil, api.NewProblem(api.CodeBadRequest,
		"there is no log "+source, "there are program, daemon and container")
}

func (c *Core) programLog(ctx context.Context, tail int, follow bool) (io.ReadCloser, error) {
	file := c.config.Logging.File
	if file == "" {
		return nil, noLog("this program writes no log file", "set logging.file")
	}
	log, err := logging.Tail(ctx, file, tail, follow)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, noLog("there is no log file "+file, "see whether its folder can be written, or set logging.file")
	}
	if err != nil {
		return nil, noLog("the log file cannot be read: "+err.Error(), "see its mode")
	}
	return log, nil
}

func noLog(detail, hint string) *api.Problem {
	return api.NewProblem(api.CodeNoLog, detail, hint)
}
