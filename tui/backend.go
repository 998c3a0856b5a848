// Package tui is what a person sees: a terminal UI on a core. It talks to the
// core through Backend only, keeps no truth of its own, and never waits: every
// call runs in a command with a deadline and comes back as a message.
package tui

import (
	"context"
	"io"

	"daemon-proxy/core/api"
)

// Backend is what the UI needs of a core. All values can cross JSON, so that a
// core which runs elsewhere can be one; only Logs and Shell are byte streams.
// Every call may take its time and ends with its context; none is made from
// Update or View. Errors are *api.Problem where a person can do something.
type Backend interface {
	Desk
	Sandboxes
	Previews
	Requests
}

// Desk is the core itself and its engine.
type Desk interface {
	Status(ctx context.Context) (api.Status, error)
	// Events registers before it returns; what happened earlier is in the snapshots.
	Events(ctx context.Context) (Events, error)
	Engine(ctx context.Context) (api.EngineStatus, error)
	Engines(ctx context.Context) ([]api.EngineChoice, error)
	SwitchEngine(ctx context.Context, name string) error
	// RetryEngine looks for the engine now instead of at the next retry.
	RetryEngine(ctx context.Context) error
	// Demo starts the demo sandbox and returns its link.
	Demo(ctx context.Context) (api.Link, error)
	// Logs is the end of a log and, with follow, what comes; source is one of
	// the api.Log… names.
	Logs(ctx context.Context, ref api.Ref, source string, tail int, follow bool) (io.ReadCloser, error)
}

// Events is the event stream. It is an alias, as Terminal is, so that a core
// which does not know this package can give one.
type Events = interface {
	// Next waits for news and returns all of it.
	Next(ctx context.Context) ([]api.Event, error)
}

// Sandboxes are the containers and the host.
type Sandboxes interface {
	Sandboxes(ctx context.Context) ([]api.Sandbox, error)
	// Watch says which sandbox is looked at: its health and ports are followed more closely.
	Watch(ref api.Ref)
	// Inject returns when the daemon is healthy; its steps come as events. The
	// end of ctx undoes it.
	Inject(ctx context.Context, ref api.Ref) error
	// CancelInjection undoes the one into ref, whoever asked for it, and returns
	// when nothing of it is left. It is not tried again until somebody asks.
	CancelInjection(ctx context.Context, ref api.Ref) error
	// UndoInjections cancels all injections, whoever asked for them, and returns
	// when nothing of them is left. No other begins: it is for the end.
	UndoInjections(ctx context.Context) error
	StopDaemon(ctx context.Context, ref api.Ref) error
	// Eject stops the daemon and takes its binary and log out of the container.
	Eject(ctx context.Context, ref api.Ref) error
	StartContainer(ctx context.Context, ref api.Ref) error
	StopContainer(ctx context.Context, ref api.Ref) error
	Ports(ctx context.Context, ref api.Ref) ([]api.PortCard, error)
	// StartDesktop asks the daemon for its VNC desktop and waits until 6080 listens.
	StartDesktop(ctx context.Context, ref api.Ref) error
	// Shell opens a shell in the container on a terminal of that size.
	Shell(ctx context.Context, ref api.Ref, columns, rows int) (Terminal, error)
}

// Terminal is the far end of a shell.
type Terminal = interface {
	io.ReadWriteCloser
	Resize(ctx context.Context, columns, rows int) error
}

// Previews are the links. They are named by their public id.
type Previews interface {
	Links(ctx context.Context) ([]api.Link, error)
	CreateLink(ctx context.Context, request api.LinkRequest) (api.Link, error)
	RevokeLink(ctx context.Context, id string) error
	// Share serves a link that expires on the LAN until ctx ends.
	Share(ctx context.Context, id string) (api.Share, error)
}

// Requests is the request log.
type Requests interface {
	// Exchanges are the newest n that the filter takes, newest first; n 0 means all.
	Exchanges(ctx context.Context, filter string, n int) ([]api.Exchange, error)
	Exchange(ctx context.Context, id uint64) (api.ExchangeDetail, error)
	// Bodies are what was captured of both bodies as they passed, secrets included.
	Bodies(ctx context.Context, id uint64) (request, response []byte, err error)
	Rates(ctx context.Context) (api.Rates, error)
	// Curl is the request as a command for a shell, secrets as variables.
	Curl(ctx context.Context, id uint64) (string, error)
	// Replay sends the request again, to the same sandbox and port only.
	Replay(ctx context.Context, id uint64) (api.Exchange, error)
	// HAR is what the filter takes as an HTTP archive, secrets masked.
	HAR(ctx context.Context, filter string) ([]byte, error)
}
