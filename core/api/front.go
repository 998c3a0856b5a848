package api

import (
	"net/http"
	"time"
)

// Status describes the core itself.
type Status struct {
	Version string `json:"version"`
	// URL is the address of the core on this machine: "http://localhost:8080".
	URL string `json:"url"`
	// Mode is "docker" or "host"; "auto" until the engine has answered or failed.
	Mode string `json:"mode"`
	// Exposed is true if other machines may use the API without a key.
	Exposed bool `json:"exposed,omitempty"`
	// HostLinks is true if the host form of links works on this machine.
	HostLinks bool `json:"host_links"`
	// ReadOnly is true if the core refuses every route that changes something.
	ReadOnly   bool   `json:"read_only,omitempty"`
	ConfigFile string `json:"config_file,omitempty"`
	LogFile    string `json:"log_file,omitempty"`
	// StopOnExit is true if the daemons that the core started stop with it.
	StopOnExit bool `json:"stop_on_exit,omitempty"`
	// LinkTTLSeconds is the default time to live of a link; 0: until revoked.
	LinkTTLSeconds int64 `json:"link_ttl_seconds,omitempty"`
	// Screens are the fronts with a display that are attached, the oldest first.
	Screens []ScreenStatus `json:"screens,omitempty"`
}

// ScreenStatus is a front with a display that is attached to the core.
type ScreenStatus struct {
	ID string `json:"id"`
	// Name is for people: "you@desk pts/3".
	Name  string    `json:"name"`
	Since time.Time `json:"since"`
	// Watching is the sandbox that it shows; omitted if none.
	Watching Ref `json:"watching,omitzero"`
}

// ScreenList is the document of GET /api/screens, the oldest first.
type ScreenList struct {
	Screens []ScreenStatus `json:"screens"`
}

// ScreenWatch is the body of PUT /api/screens/{screen}.
type ScreenWatch struct {
	// Sandbox is the name of the sandbox that the screen shows; empty: none.
	Sandbox string `json:"sandbox"`
}

// LinkRequest is the body of POST /api/preview/create.
type LinkRequest struct {
	Port int `json:"port"`
	// Sandbox is the name of the sandbox; empty means the default sandbox.
	Sandbox string `json:"sandbox,omitempty"`
	Label   string `json:"label,omitempty"`
	// TTLSeconds is the time to live; 0 means until revoked, null means the configured default.
	TTLSeconds      *int64 `json:"ttl_seconds,omitempty"`
	AllowDaemonPort bool   `json:"allow_daemon_port,omitempty"`
	// Fence false omits the policy that keeps the preview's pages away from other
	// services on the viewer's machine; null means true.
	Fence *bool `json:"fence,omitempty"`
	// StripPrefix false forwards the whole path, for a service that is configured
	// with its prefix (base_url, --base); null means true.
	StripPrefix *bool `json:"strip_prefix,omitempty"`
}

// PortCard is a listening port with what was found to answer there.
type PortCard struct {
	Port
	Sandbox Ref `json:"sandbox,omitzero"`
	// Service is "http", "https", "vnc" (a VNC page over HTTP), "rfb" (raw VNC),
	// "daemon", "other" (not HTTP) or "unknown" (it did not answer in time).
	Service string `json:"service,omitempty"`
	// Name is the page's title, or the Server header, or empty: "Vite + React".
	Name string `json:"name,omitempty"`
	// Desktop is what shows a desktop in the browser there: "noVNC", "KasmVNC",
	// "Selkies", "Guacamole", "remote desktop", or "desktop" if only a label says so.
	Desktop string `json:"desktop,omitempty"`
	// Chosen is true for the desktop that the label daemon-proxy.desktop names.
	Chosen bool `json:"chosen,omitempty"`
	// Remarks are words such as "websocket", "login".
	Remarks []string `json:"remarks,omitempty"`
	// Warning is the reason why a preview may not work; empty if it should.
	Warning string `json:"warning,omitempty"`
	// Label and Path come from devcontainer metadata, if the container has it.
	Label string `json:"label,omitempty"`
	Path  string `json:"path,omitempty"`
}

// IsDesktop reports whether a browser is shown a desktop there.
func (c PortCard) IsDesktop() bool { return c.Desktop != "" || c.Service == "vnc" }

// Rates sums up the exchanges of the last minute.
type Rates struct {
	// PerSecond is exchanges ended per second over the last 10 seconds.
	PerSecond float64 `json:"per_second"`
	// P50 and P99 are durations within 7 % of the true ones; 0 without exchanges.
	P50 time.Duration `json:"p50_ns"`
	P99 time.Duration `json:"p99_ns"`
	// Spark is exchanges ended in each of the last 60 seconds, oldest first.
	Spark [60]int `json:"spark"`
}

// ExchangeDetail is an exchange with its captured headers, bodies and frames, secrets masked.
type ExchangeDetail struct {
	Exchange
	RequestHeader  http.Header `json:"request_header"`
	ResponseHeader http.Header `json:"response_header"`
	// RequestBody and ResponseBody are what was captured, decompressed (gzip and
	// deflate); null if nothing was captured, or if the compression is another one.
	RequestBody  []byte `json:"request_body,omitempty"`
	ResponseBody []byte `json:"response_body,omitempty"`
	// RequestHeaderSize and ResponseHeaderSize are the whole size in bytes of a
	// header that was cut because it is longer than 64 KiB.
	RequestHeaderSize  int64 `json:"request_header_size,omitempty"`
	ResponseHeaderSize int64 `json:"response_header_size,omitempty"`
	// RequestCaptured and ResponseCaptured are the number of body bytes captured,
	// before decompression, at most 64 KiB; 0 if empty, not captured or discarded.
	RequestCaptured  int64 `json:"request_captured,omitempty"`
	ResponseCaptured int64 `json:"response_captured,omitempty"`
	// Discarded is true if the headers, the bodies and the frames so far were
	// discarded because later exchanges needed the memory (traffic.memory).
	Discarded bool `json:"discarded,omitempty"`
	// Frames are the last 200 frames of a WebSocket, oldest first.
	Frames []Frame `json:"frames,omitempty"`
	// FrameCount is how many there were in all. It is Exchange.Frames, whose name
	// in JSON the frames themselves have here.
	FrameCount int64 `json:"frame_count,omitempty"`
}

// Frame is one WebSocket frame.
type Frame struct {
	Time time.Time `json:"time"`
	// FromClient is true if the client sent it.
	FromClient bool `json:"from_client"`
	// Opcode is defined by RFC 6455 §5.2: 1 text, 2 binary, 8 close, 9 ping, 10 pong, 0 continuation.
	Opcode int   `json:"opcode"`
	Size   int64 `json:"size"`
	// Final is true if no continuation of the message follows.
	Final bool `json:"final"`
	// Compressed is true if Data is the beginning of a compressed message (RFC 7692).
	Compressed bool `json:"compressed,omitempty"`
	// Data is the first KiB of the payload, unmasked as in RFC 6455 §5.3; secrets in
	// JSON are masked.
	Data []byte `json:"data,omitempty"`
}

// EngineChoice is one engine that is open or can be opened.
type EngineChoice struct {
	Name     string `json:"name"`
	Endpoint string `json:"endpoint"`
	Open     bool   `json:"open,omitempty"`
	// Current marks the primary engine, on which the default sandbox is.
	Current bool `json:"current,omitempty"`
}

// Share is a second listener on the LAN that serves one link in path mode.
type Share struct {
	URL     string    `json:"url"` // what the QR code says
	Expires time.Time `json:"expires_at"`
}

// Sources of logs that a front can follow.
const (
	LogProgram   = "program"   // this program's own
	LogDaemon    = "daemon"    // the daemon's of a sandbox
	LogContainer = "container" // the container's main process
)
