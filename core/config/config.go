// Package config holds the one typed configuration of the program.
package config

import "time"

// Config is the whole configuration: defaults < file < environment < flags.
type Config struct {
	Server   Server
	Daemon   Daemon
	Docker   Docker
	Security Security
	Preview  Preview
	Traffic  Traffic
	Logging  Logging

	// File is the absolute path of the configuration file that was read; empty without one.
	File string
}

// Server says where the HTTP server listens and whom it serves.
type Server struct {
	Host           string   // bind address; default 127.0.0.1
	Port           int      // default 8080
	AllowedHosts   []string // further Host names that are served
	PublicURL      string   // base of the URLs handed out; empty: the request's checked Host
	PreviewDomain  string   // default "localhost"
	TrustedProxies []string // addresses or CIDR prefixes whose X-Forwarded-* count
	MaxConnections int      // open client connections; default 10000
}

// Daemon says which daemon runs where.
type Daemon struct {
	Mode             string            // "auto", "docker" or "host"
	Port             int               // default 2280
	Path             string            // host mode: binary; empty: /usr/local/bin/daytona if there, else built-in
	ContainerName    string            // the default sandbox
	StartupTimeout   time.Duration     // default 30s (a bare number in the file is seconds)
	InjectionMode    string            // "volume" or "direct"
	BinarySourcePath string            // volume: binary on this machine; empty: as Path
	WorkDir          string            // empty: the container's own, else /workspace
	InstallDir       string            // folder in the container; default /usr/local/bin
	Env              map[string]string // added to the daemon's environment
	StopOnExit       bool              // stop the daemons that this program started when it ends
}

// Docker chooses the engine.
type Docker struct {
	Host    string // empty: DOCKER_HOST, else the context
	Context string // empty: DOCKER_CONTEXT, else the docker CLI's current context
}

// Security guards the management API.
type Security struct {
	Enabled bool
	APIKey  string
}

// Preview says how links are kept.
type Preview struct {
	DefaultTTL time.Duration // 0: until revoked
	StateFile  string        // absolute
	MaxLinks   int           // live links; default 1000
}

// Traffic says what the request log keeps.
type Traffic struct {
	Bodies bool // capture the first 64 KiB of each body; default true
}

// Logging says what is logged, how and where.
type Logging struct {
	Level      string // DEBUG, INFO, WARNING (WARN), ERROR, CRITICAL
	Format     string // "text", "json" or a Python %-format
	File       string // absolute; default see design
	MaxSizeMB  int    // default 10
	MaxBackups int    // default 3
}
