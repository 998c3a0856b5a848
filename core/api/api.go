// Package api holds the plain values that cross JSON: what the HTTP API
// answers, what the client decodes, what the event stream carries and what
// the terminal UI shows. It has no behaviour beyond naming and formatting,
// and imports nothing else of this program, so that server, client and UI
// share one set of types and need no twins.
package api

import (
	"crypto/sha256"
	"fmt"
	"regexp"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// HostName is the name under which the machine itself is listed as a sandbox.
const HostName = "host"

// ContainerPrefix disambiguates a container whose own name is HostName:
// it is addressed as "container:host".
const ContainerPrefix = "container:"

// Ref identifies a sandbox: the id of its engine and the name of a container on
// it. The host has an empty Engine and the name "host".
// The name is the identity: a container recreated under it is the same sandbox.
type Ref struct {
	// Engine is an id as EngineID returns it.
	Engine string `json:"engine,omitempty"`
	Name   string `json:"name"`
}

// Host is the machine that the program runs on.
var Host = Ref{Name: HostName}

// IsHost reports whether r is the machine itself and not a container.
func (r Ref) IsHost() bool { return r == Host }

// String is the name under which people and URLs address the sandbox.
func (r Ref) String() string {
	if r.Name == HostName && !r.IsHost() {
		return ContainerPrefix + r.Name
	}
	return r.Name
}

// Long is SOURCE/NAME, which means the same sandbox whatever else is open.
func (r Ref) Long() string {
	if r.Engine == "" {
		return r.Name
	}
	return r.Engine + "/" + r.Name
}

// Means reports whether r, a name as people write it, can mean the sandbox full.
func (r Ref) Means(full Ref) bool { return r == full || r.Engine == "" && r.Name == full.String() }

// ParseRef reads a sandbox's name as people write it: NAME, or SOURCE/NAME. Of
// a NAME alone the Engine stays empty: the core finds it.
func ParseRef(text string) Ref {
	at := strings.LastIndexByte(text, '/')
	if at <= 0 {
		return Ref{Name: text}
	}
	name := text[at+1:]
	if name == ContainerPrefix+HostName {
		name = HostName
	}
	return Ref{Engine: EngineID(text[:at]), Name: name}
}

// plainAddress matches addresses of which no two have the same id without a hash.
// It is compiled where it is needed, so that the program inside containers does not
// contain package regexp.
const plainAddress = `^(unix://|npipe:///)(/[\w.-]+)+$|^(tcp|ssh)://([\w.-]+@)?[\w.-]*[A-Za-z.][\w.-]*(:\d+)?$`

// EngineID returns the id of an engine, which consists of letters, digits and
// ". _ + -": the name of a docker context or a Podman connection is its own, and an
// address such as "unix:///run/docker.sock" becomes "unix+run+docker.sock".
func EngineID(nameOrAddress string) string {
	scheme, rest, isAddress := strings.Cut(nameOrAddress, "://")
	if !isAddress {
		return nameOrAddress
	}
	if user, host, found := strings.Cut(rest, "@"); found {
		user, _, _ = strings.Cut(user, ":") // without the password
		rest = user + "@" + host
	}
	id := scheme + "+" + strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf && (unicode.IsLetter(r) || unicode.IsDigit(r) || strings.ContainsRune("._-", r)) {
			return r
		}
		return '+'
	}, strings.TrimLeft(rest, "/"))
	if !regexp.MustCompile(plainAddress).MatchString(scheme + "://" + rest) {
		id += fmt.Sprintf("+%x", sha256.Sum256([]byte(scheme+"://"+rest)))[:9]
	}
	return id
}

// Container states, as the engine names them, and "missing" for a sandbox
// whose container does not exist (any more).
const (
	ContainerCreated    = "created"
	ContainerRunning    = "running"
	ContainerPaused     = "paused"
	ContainerRestarting = "restarting"
	ContainerExited     = "exited"
	ContainerDead       = "dead"
	ContainerMissing    = "missing"
)

// Ways to the ports of a sandbox.
const (
	ViaDirect = "direct" // its address is dialled
	ViaExec   = "exec"   // one process in it, started by its engine, carries the connections
	ViaHelper = "helper" // a container of this program in its network does
)

// DaemonState is what is known of the daemon in a sandbox.
type DaemonState string

// The states of a daemon.
const (
	DaemonUnknown   DaemonState = "unknown"   // not asked yet
	DaemonNone      DaemonState = "none"      // sandbox runs, no daemon answers, none was asked for
	DaemonInjecting DaemonState = "injecting" // an injection is under way
	DaemonHealthy   DaemonState = "healthy"   // the last /version call was answered
	DaemonDown      DaemonState = "down"      // it was there (or was asked for) and does not answer
	DaemonFailed    DaemonState = "failed"    // the last injection failed, see LastError
	DaemonEjecting  DaemonState = "ejecting"  // it has ended, and its files are being taken out
	DaemonStopped   DaemonState = "stopped"   // the container does not run
)

// Daemon is the state of the daemon of one sandbox.
type Daemon struct {
	State DaemonState `json:"state"`
	// Kind is "built-in", "daytona" or empty while unknown.
	Kind    string `json:"kind,omitempty"`
	Version string `json:"version,omitempty"`
	// URL is only for display; it is never dialled (see sandbox.Sandboxes.Upstream).
	URL string `json:"url,omitempty"`
	// LatencyMS is the round trip of the last answered /version call; 0 until the first.
	LatencyMS float64 `json:"latency_ms"`
	// LatencyHistory holds the last round trips in milliseconds, oldest first, at most 60; 0 is a failed call.
	LatencyHistory []float64 `json:"latency_history,omitempty"`
	// Since is when State was entered.
	Since time.Time `json:"since"`
	// LastError is the latest failure; nil while healthy.
	LastError *Problem `json:"last_error,omitempty"`
	// RetryAt is when a failed daemon is retried automatically; omitted if it is not.
	RetryAt *time.Time `json:"retry_at,omitempty"`
	// Started is true if this program started the daemon, in this run or an earlier one, and did not adopt it.
	Started bool `json:"started"`
	// StartedAt is when the daemon started; omitted if unknown.
	StartedAt time.Time `json:"started_at,omitzero"`
}

// Sandbox is a place where a daemon runs: one container, or the host.
type Sandbox struct {
	Ref
	// Kind is "container" or "host".
	Kind string `json:"kind"`
	// Container is one of the Container… states; "running" for the host.
	Container string `json:"container_state"`
	// ExitCode is the exit code of the last run, if the container has exited and the engine reports it.
	ExitCode *int   `json:"exit_code,omitempty"`
	ID       string `json:"container_id,omitempty"`
	Image    string `json:"image,omitempty"`
	// Platform is os/arch[/variant], e.g. "linux/amd64".
	Platform string `json:"platform,omitempty"`
	// Address is the IP address that is dialled; empty if there is none.
	Address string `json:"address,omitempty"`
	// Via is how its ports are reached, as a Via… constant; empty while that is not known.
	Via string `json:"via,omitempty"`
	// ViaReason is why it is not reached directly.
	ViaReason string `json:"via_reason,omitempty"`
	// SharesNetworkOf names the sandbox whose network namespace, and therefore whose daemon, this one uses.
	SharesNetworkOf string `json:"shares_network_of,omitempty"`
	// Project is the compose project; empty if there is none.
	Project string            `json:"project,omitempty"`
	Labels  map[string]string `json:"labels,omitempty"`
	Started time.Time         `json:"started_at,omitzero"`
	Daemon  Daemon            `json:"daemon"`
	// Default marks the sandbox that /proxy/… and links without a sandbox use.
	Default bool `json:"default"`
}

// Status is the state of its daemon; mode is what daemon.mode means now.
func (s Sandbox) Status(mode string) DaemonStatus {
	d := s.Daemon
	return DaemonStatus{
		Mode: mode, Sandbox: s.String(), ContainerState: s.Container,
		State: d.State, Running: d.State == DaemonHealthy, Kind: d.Kind, Version: d.Version, URL: d.URL,
		LatencyMS: d.LatencyMS, Since: d.Since, LastError: d.LastError,
	}
}

// InjectionStep names one step of an injection, in the order they happen.
type InjectionStep string

// The steps of an injection.
const (
	StepInspect InjectionStep = "inspect" // container runs, platform and binary fit
	StepAdopt   InjectionStep = "adopt"   // is a daemon already answering?
	StepPrepare InjectionStep = "prepare" // stage an executable copy of the binary
	StepCopy    InjectionStep = "copy"    // stream it into the container
	StepStart   InjectionStep = "start"   // working directory and exec
	StepWait    InjectionStep = "wait"    // poll /version
)

// Injection is one event of an injection.
type Injection struct {
	Sandbox Ref           `json:"sandbox"`
	Step    InjectionStep `json:"step"`
	// State is "running", "done", "skipped" or "failed".
	State string `json:"state"`
	// Detail is one line for people: "linux/amd64, static binary fits".
	Detail string `json:"detail,omitempty"`
	// Bytes and Total are the progress of StepCopy.
	Bytes int64 `json:"bytes,omitempty"`
	Total int64 `json:"total,omitempty"`
	// Error is set on the last event of a failed injection.
	Error *Problem `json:"error,omitempty"`
	// Finished is set on the last event, of a failed injection too; Daemon is then the outcome.
	Finished bool    `json:"finished,omitempty"`
	Daemon   *Daemon `json:"daemon,omitempty"`
}

// Port is a listening TCP port inside a sandbox.
type Port struct {
	Port int `json:"port"`
	// Address is the address it is bound to, if known: "0.0.0.0", "127.0.0.1", "::1", ….
	Address string `json:"address,omitempty"`
	// Daemon marks the daemon's own ports.
	Daemon bool `json:"daemon,omitempty"`
}

// Link is a preview link: anyone who has the token may view one port of one sandbox.
type Link struct {
	// Token is the capability; never log it. ID is public and identifies the link in logs and lists.
	Token string `json:"token"`
	ID    string `json:"id"`
	// URL is the path form, HostURL the host form; both end without a slash.
	// HostURL is empty if the preview domain does not lead to this machine.
	URL     string `json:"url"`
	HostURL string `json:"host_url"`
	Port    int    `json:"port"`
	// SandboxName is the name of the sandbox, as people write it.
	SandboxName string `json:"sandbox"`
	// Sandbox is the sandbox with its engine.
	Sandbox   Ref        `json:"sandbox_ref"`
	Label     string     `json:"label"`
	CreatedAt time.Time  `json:"created_at"`
	ExpiresAt *time.Time `json:"expires_at"`
	RevokedAt *time.Time `json:"revoked_at,omitempty"`
	// AllowDaemonPort allows a link to one of the daemon's own ports.
	AllowDaemonPort bool `json:"allow_daemon_port,omitempty"`
	// Fence is true if its pages are kept away from other services on the
	// viewer's machine; preview.fence must be on, too.
	Fence bool `json:"fence"`
	// StripPrefix is true if /preview/TOKEN is removed before the service gets the
	// path; false is for a service that is configured with its prefix.
	StripPrefix bool `json:"strip_prefix"`

	Requests   int64      `json:"requests"`
	BytesIn    int64      `json:"bytes_in"`
	BytesOut   int64      `json:"bytes_out"`
	LastUsedAt *time.Time `json:"last_used_at"`
	// State is "active", "expired" or "revoked".
	State string `json:"state"`
}

// Exchange is one request and its response as the request log keeps it.
// Everything in it may be shown: secrets are masked before it is created.
type Exchange struct {
	// ID increases by one with every exchange; those of a later run of the program are greater.
	ID     uint64    `json:"id"`
	Start  time.Time `json:"start"`
	Method string    `json:"method"`
	// Path is what the service received: the path and the masked query. A long one
	// is cut to about 2 KiB, and PathSize is its whole length in bytes.
	Path     string `json:"path"`
	PathSize int64  `json:"path_size,omitempty"`
	// Status is 0 until the exchange has an answer.
	Status  int    `json:"status"`
	Sandbox string `json:"sandbox,omitempty"`
	// Ref is the sandbox with its engine.
	Ref  Ref `json:"sandbox_ref,omitzero"`
	Port int `json:"port,omitempty"`
	// LinkID is the public id of the preview link; empty for /proxy and the API.
	LinkID string `json:"link_id,omitempty"`
	// Kind is "proxy", "preview" or "api".
	Kind string `json:"kind"`
	// Protocol is "http", "websocket" or "event-stream".
	Protocol string `json:"protocol"`
	// Live is true until the last byte has passed.
	Live bool `json:"live,omitempty"`
	// All three are measured from Start: Wait until the request was written to the
	// daemon, FirstByte until the response head arrived, Duration until the end.
	Wait      time.Duration `json:"wait_ns"`
	FirstByte time.Duration `json:"first_byte_ns"`
	Duration  time.Duration `json:"duration_ns"`
	BytesIn   int64         `json:"bytes_in"`
	BytesOut  int64         `json:"bytes_out"`
	// Frames counts the frames of a WebSocket in both directions; 0 if traffic.bodies is off.
	Frames int64 `json:"frames,omitempty"`
	// Remote is the client's address; X-Forwarded-For counts only from trusted proxies.
	Remote string `json:"remote,omitempty"`
	// Code is the problem's code if the program itself answered; Note is a
	// remark for people, e.g. "needs host mode".
	Code string `json:"code,omitempty"`
	Note string `json:"note,omitempty"`
}

// EngineStatus is the state of the connection to an engine.
type EngineStatus struct {
	Name     string `json:"name"`
	Endpoint string `json:"endpoint"`
	// State is "connecting", "connected" or "lost"; in an event also "closed".
	State string `json:"state"`
	// Primary marks the engine on which the default sandbox is.
	Primary bool      `json:"primary,omitempty"`
	Version string    `json:"version,omitempty"`
	Since   time.Time `json:"since"`
	// Error is the reason why it does not answer, with a hint.
	Error *Problem `json:"error,omitempty"`
	// RetryAt is when a lost engine is tried again; omitted while an attempt is running.
	RetryAt *time.Time `json:"retry_at,omitempty"`
}

// EngineClosed is the State of an engine that is no longer open.
const EngineClosed = "closed"

// EventKind names what an Event is about; exactly the field of that name is
// set, and none for "reset". More kinds may come: ignore those that are unknown.
type EventKind string

// The kinds of event.
const (
	EventSandbox   EventKind = "sandbox"   // a sandbox appeared or changed
	EventRemoved   EventKind = "removed"   // a sandbox is gone; only Sandbox.Ref is meaningful
	EventInjection EventKind = "injection" // an injection took a step
	EventLink      EventKind = "link"      // a link was created, revoked, expired
	EventExchange  EventKind = "exchange"  // an exchange began, got its answer or ended
	EventEngine    EventKind = "engine"    // an engine was opened, reached, lost or closed
	EventPort      EventKind = "port"      // a port of a watched sandbox began to listen
	EventScreens   EventKind = "screens"   // a screen was attached, went or shows another sandbox: all of them
	EventAttached  EventKind = "attached"  // over HTTP, the first event of a screen: which one it is
	EventReset     EventKind = "reset"     // events were missed: begin with the lists again
)

// Event is one element of the event stream.
type Event struct {
	Kind      EventKind     `json:"kind"`
	Time      time.Time     `json:"time"`
	Sandbox   *Sandbox      `json:"sandbox,omitempty"`
	Injection *Injection    `json:"injection,omitempty"`
	Link      *Link         `json:"link,omitempty"`
	Exchange  *Exchange     `json:"exchange,omitempty"`
	Engine    *EngineStatus `json:"engine,omitempty"`
	Port      *PortCard     `json:"port,omitempty"`
	// Screens are all that are attached; omitted if none are.
	Screens  []ScreenStatus `json:"screens,omitempty"`
	Attached *ScreenStatus  `json:"attached,omitempty"`
}
