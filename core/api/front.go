package api

import (
	"net/http"
	"time"
)

// Status is what a front shows of the core itself.
type Status struct {
	Version string `json:"version"`
	// URL is how this machine reaches the core: "http://localhost:8080".
	URL string `json:"url"`
	// Mode is "docker" or "host"; "auto" until the engine has answered or was given up.
	Mode string `json:"mode"`
	// Exposed says that others than this machine may use the API without a key.
	Exposed bool `json:"exposed,omitempty"`
	// HostLinks says that the host form of links works on this machine.
	HostLinks  bool   `json:"host_links"`
	ConfigFile string `json:"config_file,omitempty"`
	LogFile    string `json:"log_file,omitempty"`
	// StopOnExit says that the daemons which the core started end with it.
	StopOnExit bool `json:"stop_on_exit,omitempty"`
	// LinkTTLSeconds is how long a link lives that says nothing of it; 0: until revoked.
	LinkTTLSeconds int64 `json:"link_ttl_seconds,omitempty"`
}

// LinkRequest is what POST /api/preview/create takes.
type LinkRequest struct {
	Port int `json:"port"`
	// Sandbox is empty for the default one.
	Sandbox string `json:"sandbox,omitempty"`
	Label   string `json:"label,omitempty"`
	// TTLSeconds is the time to live; 0 means until revoked, nil the configured default.
	TTLSeconds      *int64 `json:"ttl_seconds,omitempty"`
	AllowDaemonPort bool   `json:"allow_daemon_port,omitempty"`
	// Fence false leaves out the policy that keeps the preview's pages away from
	// other services on the viewer's machine; nil means true.
	Fence *bool `json:"fence,omitempty"`
	// StripPrefix false sends the whole path on, for a service that was told its
	// prefix (base_url, --base); nil means true.
	StripPrefix *bool `json:"strip_prefix,omitempty"`
}

// PortCard is a listening port with what answers there.
type PortCard struct {
	Port
	Sandbox Ref `json:"sandbox,omitzero"`
	// Service is "http", "https", "vnc" (a VNC page over HTTP), "rfb" (raw VNC),
	// "daemon", "other" (not HTTP) or "unknown" (it did not answer in time).
	Service string `json:"service,omitempty"`
	// Name is the page's title, else the Server header, else empty: "Vite + React".
	Name string `json:"name,omitempty"`
	// Remarks are words such as "websocket", "login".
	Remarks []string `json:"remarks,omitempty"`
	// Warning says why it may not work as it is; empty: it should.
	Warning string `json:"warning,omitempty"`
	// Label and Path come from devcontainer metadata, where the container has it.
	Label string `json:"label,omitempty"`
	Path  string `json:"path,omitempty"`
}

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

// ExchangeDetail is an exchange with what was captured of it, secrets masked.
type ExchangeDetail struct {
	Exchange
	RequestHeader  http.Header `json:"request_header"`
	ResponseHeader http.Header `json:"response_header"`
	// RequestBody and ResponseBody are what was captured of them, unpacked (gzip
	// and deflate); nil if nothing was, or if they are packed in another way.
	RequestBody  []byte `json:"request_body,omitempty"`
	ResponseBody []byte `json:"response_body,omitempty"`
	// RequestHeaderSize and ResponseHeaderSize are the bytes of a header of which
	// only a part is kept, because it is longer than 64 KiB.
	RequestHeaderSize  int64 `json:"request_header_size,omitempty"`
	ResponseHeaderSize int64 `json:"response_header_size,omitempty"`
	// RequestCaptured and ResponseCaptured are how many bytes that was as they
	// passed, at most 64 KiB; 0 if they were empty, not captured or discarded.
	RequestCaptured  int64 `json:"request_captured,omitempty"`
	ResponseCaptured int64 `json:"response_captured,omitempty"`
	// Discarded is true if the headers, the bodies and the frames until then were
	// discarded, because later exchanges needed the memory (traffic.memory).
	Discarded bool `json:"discarded,omitempty"`
	// Frames are the last 200 of a WebSocket, oldest first.
	Frames []Frame `json:"frames,omitempty"`
}

// Frame is one WebSocket frame that passed.
type Frame struct {
	Time time.Time `json:"time"`
	// FromClient is its direction.
	FromClient bool `json:"from_client"`
	// Opcode is that of RFC 6455 §5.2: 1 text, 2 binary, 8 close, 9 ping, 10 pong, 0 continuation.
	Opcode int   `json:"opcode"`
	Size   int64 `json:"size"`
	// Final says that no continuation of the message follows.
	Final bool `json:"final"`
	// Compressed says that Data is the beginning of a compressed message (RFC 7692).
	Compressed bool `json:"compressed,omitempty"`
	// Data is its first KiB, without the mask of the protocol; secrets in JSON
	// are masked.
	Data []byte `json:"data,omitempty"`
}

// EngineChoice is one docker context that can be switched to.
type EngineChoice struct {
	Name     string `json:"name"`
	Endpoint string `json:"endpoint"`
	Current  bool   `json:"current,omitempty"`
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
