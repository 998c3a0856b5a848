// Package source says what core/sandbox needs of a place where containers run:
// their facts, files, processes, terminals, logs and events. It holds plain
// values and interfaces only; core/docker implements them.
package source

import (
	"context"
	"io"
	"io/fs"
	"net"
	"time"
)

// Facts says what runs at a place. This machine has no more than that: it is one
// container, which has no ID and the machine's own network.
type Facts interface {
	// Name is unique among the sources of a desk; it is the Engine of an api.Ref.
	Name() string
	// List returns all containers, in any state, sorted by name.
	List(ctx context.Context) ([]Container, error)
}

// Source is a place where containers run, such as a Docker engine. It is safe
// for concurrent use, and every call ends when its context does.
//
// If the source itself fails, the error is an *api.Problem of code
// engine_unreachable; if a container does not exist, one of code
// sandbox_missing; if it must run and does not, one of sandbox_stopped,
// sandbox_paused or sandbox_busy. A missing path is fs.ErrNotExist.
type Source interface {
	Facts
	// Endpoint is the source's address, for people.
	Endpoint() string
	// Ping returns the source's version.
	Ping(ctx context.Context) (version string, err error)
	// Hint says how a person does what verb means, a Hint… constant, with the
	// source's own tools: "docker start NAME". container may be empty for
	// HintCheck and HintSubnet.
	Hint(verb, container string) string

	// Inspect returns one container, by its whole name, its ID or at least 12
	// digits of the ID.
	Inspect(ctx context.Context, nameOrID string) (Container, error)
	// Events follows what happens to containers from now on. When the stream
	// ends, the first channel is closed and the second gives the one error and is
	// closed. Events are not dropped: read them, or end ctx.
	Events(ctx context.Context) (<-chan Event, <-chan error)

	// Stat describes a path; it does not follow a symbolic link.
	Stat(ctx context.Context, id, path string) (PathStat, error)
	// CopyIn unpacks a tar stream into the folder dir, which should exist: Podman
	// creates it, else the error is fs.ErrNotExist. A file system that cannot be
	// written is syscall.EROFS.
	CopyIn(ctx context.Context, id, dir string, tar io.Reader) error
	// CopyOut streams the content of a regular file. Close the reader.
	CopyOut(ctx context.Context, id, path string) (io.ReadCloser, PathStat, error)

	// Start runs a process; ctx bounds the start only. A program or working
	// directory that does not exist is not an error: the process ends with exit
	// code 126 or 127. Close the Process, and read its output until then.
	Start(ctx context.Context, id string, spec ExecSpec) (Process, error)
	// Run runs a process to its end and returns the first MiB of its output.
	Run(ctx context.Context, id string, spec ExecSpec) (out []byte, exitCode int, err error)
	// OpenTerminal runs a process on a terminal of that size; ctx bounds the
	// start only.
	OpenTerminal(ctx context.Context, id string, spec ExecSpec, columns, rows int) (Terminal, error)

	// StartContainer starts a container; one that runs is left alone.
	StartContainer(ctx context.Context, id string) error
	// StopContainer asks a container to end and kills it after timeout, if that
	// is negative after the container's own. It returns once it has stopped.
	StopContainer(ctx context.Context, id string, timeout time.Duration) error
	// Logs returns the last tail lines (all if negative) of the main process's
	// output, and with follow what it writes from then on; then it may return with
	// the first output only. Close the reader.
	Logs(ctx context.Context, id string, tail int, follow bool) (io.ReadCloser, error)
}

// Verbs of Source.Hint.
const (
	HintCheck   = "check"   // see whether the source itself works
	HintConnect = "connect" // connect a container to a network with addresses
	HintExec    = "exec"    // run a program in a container
	HintFiles   = "files"   // see the files of a container that has no shell
	HintLogs    = "logs"    // see a container's output
	HintRestart = "restart"
	HintStart   = "start"
	HintStop    = "stop"
	HintSubnet  = "subnet" // create a network with addresses of one's choice
	HintUnpause = "unpause"
)

// Container holds the facts of one container. List fills the fields up to
// Mounts, Inspect all of them.
type Container struct {
	ID string
	// Name has no leading slash; the first 12 digits of ID if there is none.
	Name string
	// Image is a name or an id, as the container was created with.
	Image string
	// State is one of the api.Container… states, never "missing".
	State string
	// Platform is os/arch[/variant], e.g. "linux/amd64"; empty if List does not
	// know it yet.
	Platform string
	// ExitCode is of the last run once it ended; nil before that and if unknown.
	ExitCode *int
	// Addresses are those of its own networks, the most likely to be reachable
	// first. Empty unless it runs in a network namespace of its own, or is this
	// machine.
	Addresses []string
	// HostNetwork is set if it uses the machine's network namespace.
	HostNetwork bool
	// SharesNetworkOf is the ID of the container whose network namespace it uses.
	SharesNetworkOf string
	// Infra is set if the container only holds the network of a pod.
	Infra  bool
	Labels map[string]string
	Mounts []Mount

	// StartedAt is of the last run; zero before it.
	StartedAt time.Time
	// Pid is of the main process on the source's machine; 0 unless it runs.
	Pid int
	// RestartCount counts the restarts by its restart policy.
	RestartCount int
	ReadOnlyRoot bool
	// WorkingDir is the main process's; empty means the root.
	WorkingDir string
}

// Mount is a volume, a bind mount or a tmpfs in a container.
type Mount struct {
	// Type is "volume", "bind", "tmpfs" or another type of the source's.
	Type string
	// Destination is the path in the container.
	Destination string
	Writable    bool
}

// Event reports that something about a container has changed, its networks
// included: List again.
type Event struct {
	// ID is the container's. Empty: the source could not follow for a moment, and
	// anything may have changed.
	ID string
	// Died is set if its processes ended, whether or not it runs again.
	Died bool
}

// PathStat describes a path in a container; of a symbolic link, the link itself.
type PathStat struct {
	Size int64 // bytes
	Mode fs.FileMode
	// LinkTarget is of a symbolic link; it may also be where a path leads whose
	// folders are links.
	LinkTarget string
}

// ExecSpec says what to run in a container.
type ExecSpec struct {
	// Cmd is the program and its arguments; no shell is involved.
	Cmd []string
	// Env is added to the container's own, as KEY=VALUE.
	Env []string
	// WorkDir must exist. Empty: the container's own.
	WorkDir string
	// User is a name or number, optionally with ":group". Empty: the container's own.
	User string
	// Tty gives the process a terminal; its output is then one raw stream.
	Tty bool
}

// Process is a process that was started in a container. It continues when its
// connection is closed, and when this program ends.
type Process interface {
	// Output is standard output and error together, each in its own order. It
	// ends with io.EOF once no process holds it open, and fails after Close.
	Output() io.Reader
	// Running reports whether the process runs, and its exit code if not.
	Running(ctx context.Context) (running bool, exitCode int, err error)
	// Wait waits for the end of the process, not of its output.
	Wait(ctx context.Context) (exitCode int, err error)
	// Close hangs up; further output is lost.
	Close() error
}

// Piper is a Source that can give a process its standard input.
type Piper interface {
	// OpenPipe runs a process without a terminal; ctx bounds the start only. The
	// connection is its standard input and output, byte for byte, and Close ends
	// both. Its standard error goes to complaints, during Read. As with Start, a
	// program that does not exist is not an error; the output ends then.
	OpenPipe(ctx context.Context, id string, spec ExecSpec, complaints io.Writer) (net.Conn, error)
}

// Helper is a Source that can run a program of ours in a container of its own,
// which has the network of another container and nothing else of it.
type Helper interface {
	// OpenHelper starts such a helper for the container id; ctx bounds the start
	// only. The connection is as that of Piper.OpenPipe. The helper ends with its
	// standard input, and is then removed. It is not among the containers that
	// List returns.
	OpenHelper(ctx context.Context, id string, spec HelperSpec, complaints io.Writer) (HelperConn, error)
	// RemoveHelpers removes the helpers of an owner whose run is gone.
	RemoveHelpers(ctx context.Context, owner string, gone func(run string) bool) error
	// RemoveHelperImages removes what helpers are made of, unless one uses it.
	RemoveHelperImages(ctx context.Context) error
}

// HelperSpec says what to run in a helper.
type HelperSpec struct {
	Program Program
	Args    []string // its arguments
	// Owner and Run are kept with the helper, for RemoveHelpers.
	Owner, Run string
}

// Program is a static executable.
type Program struct {
	// Build identifies the content: its SHA-256, in hexadecimal digits.
	Build string
	Size  int64 // bytes
	Open  func() (io.ReadCloser, error)
}

// HelperConn is the standard input and output of a helper.
type HelperConn interface {
	net.Conn
	// End makes sure that the helper is gone, after Close.
	End(ctx context.Context) error
}

// Terminal is a process in a container with a terminal: Read is what it shows
// and ends with io.EOF when the process does, Write types, Close closes the
// connection. The process continues then.
type Terminal interface {
	io.ReadWriteCloser
	// Running reports whether the process runs, and its exit code if not.
	Running(ctx context.Context) (running bool, exitCode int, err error)
	// Wait waits for the end of the process.
	Wait(ctx context.Context) (exitCode int, err error)
	// Resize changes the terminal's size.
	Resize(ctx context.Context, columns, rows int) error
}
