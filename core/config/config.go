// Package config merges defaults, one YAML file, environment variables and
// flags, in order of increasing priority, into one typed Config.
//
// One table (keys.go) describes every key: its place in the file, its variable,
// its flag, its default, what is allowed and its purpose. Decoding, flags,
// messages, the example file, the JSON schema and the effective configuration
// all come from it.
//
// Load reports every problem that it finds, one line each, with the place,
// the key, the value and what is allowed. It writes nothing to disk: the code
// that uses a directory named here creates it (mode 0700).
package config

import (
	"net"
	"net/netip"
	"strconv"
	"time"
)

// Config is the whole configuration: defaults < file < environment < flags.
type Config struct {
	Server   Server
	Daemon   Daemon
	Docker   Docker
	Security Security
	Preview  Preview
	Traffic  Traffic
	Logging  Logging
	TUI      TUI

	// File is the absolute path of the configuration file that was read; empty without one.
	File string
	// StateDir is the absolute directory for persistent state: $XDG_STATE_HOME/daemon-proxy.
	StateDir string
	// CacheDir is the absolute directory for files that can be recreated, mainly
	// staged binaries (CacheDir/binaries/daemon-amd64): .tmp beside the configuration
	// file, or $XDG_CACHE_HOME/daemon-proxy if there is no file, if it is the one
	// under $XDG_CONFIG_HOME, or if its directory is not writable.
	CacheDir string
	// Notes are remarks for the log on how the file was found and what is unusual about it.
	Notes []string
}

// Server configures where the HTTP server listens and which requests it accepts.
type Server struct {
	Host           string   // bind address or name; default 127.0.0.1
	Port           int      // default 8080
	AllowedHosts   []string // further Host names that are served, lower case, without port
	PublicURL      string   // scheme://host[:port], no slash at the end; empty: the request's checked Host
	PreviewDomain  string   // lower case, default "localhost"
	TrustedProxies []string // addresses or CIDR prefixes whose X-Forwarded-* count
	MaxConnections int      // open client connections; default 10000
	ReadOnly       bool     // refuse every route that changes something
	Metrics        bool     // answer /metrics
	TLS            TLS
}

// OnLoopback reports whether Host means this machine only, in both families of
// addresses: browsers use either for localhost.
func (s Server) OnLoopback() bool {
	return s.Host == "localhost" || s.Host == "127.0.0.1" || s.Host == "::1"
}

// URL is how this machine reaches the server.
func (s Server) URL() string {
	host, scheme := s.Host, "http://"
	if ip := net.ParseIP(host); ip != nil && (ip.IsLoopback() || ip.IsUnspecified()) {
		host = "localhost"
	}
	if s.TLS.Mode == "self-signed" || s.TLS.Mode == "files" {
		scheme = "https://"
	}
	return scheme + net.JoinHostPort(host, strconv.Itoa(s.Port))
}

// Exposed reports whether other machines may use the API without a key.
func (c Config) Exposed() bool {
	if c.Security.Enabled || c.Server.OnLoopback() {
		return false
	}
	addr, err := netip.ParseAddr(c.Server.Host)
	return err != nil || !addr.IsLoopback()
}

// TLS configures whether the server uses TLS and with which certificates.
type TLS struct {
	Mode string // "off", "self-signed" or "files"
	Cert string // files: certificate chain in PEM, absolute
	Key  string // files: its private key in PEM, absolute
}

// Daemon configures which daemon runs where.
type Daemon struct {
	Mode string // "auto", "docker" or "host"
	Port int    // default 2280
	// host mode: binary, absolute; empty: /usr/local/bin/daytona if there, else built-in
	Path             string
	ContainerName    string            // the default sandbox
	StartupTimeout   time.Duration     // default 30s (a bare number in the file is seconds)
	InjectionMode    string            // "volume" or "direct"
	BinarySourcePath string            // volume: binary on this machine, absolute; empty: as Path
	WorkDir          string            // absolute in the sandbox; empty: the container's own, else /workspace
	InstallDir       string            // absolute folder in the container; default /usr/local/bin
	Env              map[string]string // added to the daemon's environment; nil if there is none
	StopOnExit       bool              // stop the daemons that this program started when it ends
}

// Docker selects the engines. Load fills at most one of Host, Context and Engines and
// already considers DOCKER_HOST and DOCKER_CONTEXT: if all are empty, the docker CLI's
// current context is used.
type Docker struct {
	Host    string // unix:///…, tcp://…, ssh://…, …
	Context string // name of a docker CLI context
	// Engines are the engines to open, by name or address, the primary one first;
	// empty: the one of Host or Context.
	Engines []string
	Reach   string // "auto", "direct", "bridge" or "helper"
	Helper  string // "auto", "always" or "never"
}

// Security guards the management API.
type Security struct {
	Enabled bool
	APIKey  string // visible ASCII, never empty if Enabled
}

// Key is the API key that is accepted, empty if there is none. That of the old
// example is no secret.
func (s Security) Key() string {
	if s.APIKey == exampleAPIKey {
		return ""
	}
	return s.APIKey
}

// Preview configures how links are stored and what previews may do.
type Preview struct {
	DefaultTTL time.Duration // 0: until revoked
	StateFile  string        // absolute; default StateDir/links.db
	MaxLinks   int           // live links; default 1000
	// keep pages of previews away from other services of the viewer's machine; default true
	Fence          bool
	Rescue         bool // send requests that lost their prefix back to their preview; default true
	RedirectToHost bool // send browsers from the path form of a link to its host form; default true
}

// Traffic configures what the request log keeps.
type Traffic struct {
	Bodies bool // capture the first 64 KiB of each body; default true
	Memory int  // bytes that the request log may keep; default 32 MiB
}

// Logging configures what is logged, how and where.
type Logging struct {
	Level      string // DEBUG, INFO, WARNING, ERROR or CRITICAL
	Format     string // "text", "json" or a Python %-format
	File       string // absolute; default logs/daemon-proxy.log beside File, else StateDir/daemon-proxy.log
	MaxSizeMB  int    // in MiB; default 10
	MaxBackups int    // default 3
}

// TUI configures the appearance of the terminal UI and what it may do.
type TUI struct {
	Theme    string            // "auto", "dark", "light" or "mono"
	ASCII    bool              // draw without Unicode, as where the locale has no UTF-8
	Mouse    bool              // default true
	ReadOnly bool              // no action that changes anything
	Keys     map[string]string // keys of actions by name: "i, ctrl+n", "none"; nil: the usual ones
}

// Defaults is the configuration without file, environment and flags, before
// Load fills in what depends on the machine: File, StateDir, CacheDir,
// Preview.StateFile and Logging.File are empty.
func Defaults() Config {
	var c Config
	for _, k := range table() {
		k.set(&c, k.defaults())
	}
	return c
}

// Validate checks each value and the combination of values. The error is an
// *Errors whose problems have no place, because a Config can come from anywhere.
func (c Config) Validate() error {
	var errs Errors
	for _, k := range table() {
		scratch := c
		for _, r := range k.set(&scratch, k.get(&c)) {
			errs.add(Problem{Key: k.Path, Value: k.show(r.entry), Text: r.text(k)})
		}
	}
	for _, x := range c.conflicts() {
		errs.add(x.Problem)
	}
	return errs.orNil()
}
