package api

import (
	"context"
	"io"
)

// Service is a core as all fronts use it, whether in its process or over HTTP.
// Every call may take its time and ends with its context.
// Errors are *Problem where a person can do something.
//
// A Ref may lack its source, as ParseRef gives it; the zero Ref means the
// default sandbox.
type Service interface {
	Core
	Sandboxes
	Previews
	Requests
}

// Core is what there is to ask of the core itself: its engine, events and logs.
type Core interface {
	Status(ctx context.Context) (Status, error)
	// Engine is the state of the primary engine, on which the default sandbox is;
	// zero if none is open.
	Engine(ctx context.Context) (EngineStatus, error)
	// EngineStates are the states of the engines that are open, the primary one first.
	EngineStates(ctx context.Context) ([]EngineStatus, error)
	// Engines are those that are open and those that can be opened.
	Engines(ctx context.Context) ([]EngineChoice, error)
	// OpenEngine opens an engine beside the others, by a name that Engines gave. It
	// does not wait for it to answer.
	OpenEngine(ctx context.Context, name string) error
	// CloseEngine closes an engine; it is a problem if no other is open.
	CloseEngine(ctx context.Context, name string) error
	// SwitchEngine opens an engine and closes all others.
	SwitchEngine(ctx context.Context, name string) error
	// RetryEngine looks for the engines now instead of at the next retry.
	RetryEngine(ctx context.Context) error
	// Demo starts the demo sandbox and returns its link.
	Demo(ctx context.Context) (Link, error)
	// Diagnose checks the way from the core to a port of ref, hop by hop, and calls
	// report, if not nil, with each finding; the last one has Finished set. The zero
	// Ref is the default sandbox, without which only the core is checked. Nothing is
	// injected. The error is not about what was found.
	Diagnose(ctx context.Context, ref Ref, report func(Finding)) error
	// Events registers before it returns; what happened earlier is in the lists.
	Events(ctx context.Context) (Events, error)
	// Attach is Events for a front with a display, which is listed with that name
	// until ctx ends: "you@desk pts/3".
	Attach(ctx context.Context, name string) (Screen, error)
	// Screens are the fronts that are attached, the oldest first.
	Screens(ctx context.Context) ([]ScreenStatus, error)
	// Logs is the end of a log, all of it if tail is negative, and with follow
	// what comes until ctx ends. Source is one of the Log… names. The text is
	// as it was written: control characters are in it.
	Logs(ctx context.Context, ref Ref, source string, tail int, follow bool) (io.ReadCloser, error)
}

// Events is the event stream.
type Events interface {
	// Next waits for news and returns all of it. After an EventReset, what came
	// before is worthless, and the caller begins with the lists. It does so too
	// after an error of the stream itself, having called Events or Attach again.
	Next(ctx context.Context) ([]Event, error)
}

// Screen is a front with a display that is attached to a core.
type Screen interface {
	Events
	// ID names it among those of Core.Screens.
	ID() string
	// Watch names the sandbox that the screen shows; the zero Ref: none. The health
	// and the ports of what any screen shows are followed more closely.
	Watch(ctx context.Context, ref Ref) error
}

// Sandboxes are the containers and the host.
type Sandboxes interface {
	Sandboxes(ctx context.Context) ([]Sandbox, error)
	Sandbox(ctx context.Context, ref Ref) (Sandbox, error)
	DaemonStatus(ctx context.Context, ref Ref) (DaemonStatus, error)
	// Inject returns when the daemon is healthy; progress, if not nil, is called
	// for each step. The end of ctx undoes the injection.
	Inject(ctx context.Context, ref Ref, progress func(Injection)) error
	// LeaveInjection makes the injection into ref independent of the contexts of
	// its callers: it goes on when they have ended. CancelInjection still undoes it.
	LeaveInjection(ctx context.Context, ref Ref) error
	// CancelInjection undoes the injection into ref, whoever started it, and
	// returns when nothing of it is left. It is not retried until someone asks.
	CancelInjection(ctx context.Context, ref Ref) error
	StopDaemon(ctx context.Context, ref Ref) error
	// Eject stops the daemon and removes its binary and log from the container.
	Eject(ctx context.Context, ref Ref) error
	StartContainer(ctx context.Context, ref Ref) error
	StopContainer(ctx context.Context, ref Ref) error
	// StartDesktop asks the daemon for its VNC desktop and waits until 6080 listens.
	StartDesktop(ctx context.Context, ref Ref) error
	// Shell opens a shell in the container on a terminal of that size; ctx bounds
	// the opening only.
	Shell(ctx context.Context, ref Ref, columns, rows int) (Terminal, error)
	// Listeners are the ports that something listens on.
	Listeners(ctx context.Context, ref Ref) ([]Port, error)
	// Ports are the same with what answers there; ports of the core itself are
	// omitted. It takes up to 1.5 s.
	Ports(ctx context.Context, ref Ref) ([]PortCard, error)
}

// Previews are the links.
type Previews interface {
	// Links are all that are remembered, newest first.
	Links(ctx context.Context) ([]Link, error)
	LinkStats(ctx context.Context) (LinkStats, error)
	CreateLink(ctx context.Context, request LinkRequest) (Link, error)
	// RevokeLink ends a link, named by its token or its public id, and what is
	// open through it.
	RevokeLink(ctx context.Context, tokenOrID string) error
	// Share serves a link that expires, named as for RevokeLink, on the network that
	// the core is on until ctx ends. Nothing else is served there.
	Share(ctx context.Context, tokenOrID string) (Share, error)
}

// Requests is the request log.
type Requests interface {
	// Exchanges are the newest n that match the filter (see
	// traffic.ParseFilter), newest first; n 0 means all.
	Exchanges(ctx context.Context, filter string, n int) ([]Exchange, error)
	Exchange(ctx context.Context, id uint64) (ExchangeDetail, error)
	// Bodies are what was captured of both bodies as they passed, secrets included.
	Bodies(ctx context.Context, id uint64) (request, response []byte, err error)
	Rates(ctx context.Context) (Rates, error)
	// Curl is the request as a command for a shell, secrets as variables.
	Curl(ctx context.Context, id uint64) (string, error)
	// Replay sends the request again, to the same sandbox and port only, and
	// returns what was recorded of it.
	Replay(ctx context.Context, id uint64) (Exchange, error)
	// HAR is what the filter matches as an HTTP archive, secrets masked.
	HAR(ctx context.Context, filter string) ([]byte, error)
}

// Terminal is the far end of a shell: Read is what it shows and ends with io.EOF
// when the shell does, Write types, Close hangs up and ends what runs in it.
type Terminal interface {
	io.ReadWriteCloser
	Resize(ctx context.Context, columns, rows int) error
	// Wait returns the exit code of the shell. It is called once Read has returned
	// io.EOF.
	Wait(ctx context.Context) (exitCode int, err error)
}
