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
func (d *desk) Logs(ctx context.Context, ref api.Ref, source string, tail int, follow bool) (io.ReadCloser, error) {
	if source == api.LogProgram || source == api.LogDaemon && ref.IsHost() { // whose daemon is in this program
		return d.programLog(ctx, tail, follow)
	}
	s, ref, err := d.at(ref)
	switch {
	case source != api.LogDaemon && source != api.LogContainer:
		return nil, api.NewProblem(api.CodeBadRequest,
			"there is no log "+source, "valid logs: program, daemon, container")
	case err != nil:
		return nil, err
	case source == api.LogContainer:
		return s.ContainerLog(ctx, ref, tail, follow)
	case ref.IsHost(): // it is the default sandbox
		return d.programLog(ctx, tail, follow)
	}
	return s.DaemonLog(ctx, ref, tail, follow)
}

func (d *desk) programLog(ctx context.Context, tail int, follow bool) (io.ReadCloser, error) {
	file := d.options.Config.Logging.File
	if file == "" {
		return nil, noLog("this program writes no log file", "set logging.file")
	}
	log, err := logging.Tail(ctx, file, tail, follow)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, noLog("there is no log file "+file, "check that its folder is writable, or set logging.file")
	}
	if err != nil {
		return nil, noLog("the log file cannot be read: "+err.Error(), "check its mode")
	}
	return log, nil
}

func noLog(detail, hint string) *api.Problem {
	return api.NewProblem(api.CodeNoLog, detail, hint)
}
