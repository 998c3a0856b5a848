package config

import (
	"encoding/csv"
	"strconv"
	"strings"
	"time"
)

// Key describes one key of the configuration.
type Key struct {
	// Path is section and name: "server.port".
	Path string
	// Env is the environment variable.
	Env string
	// Flag is the flag without its dashes; empty if the key has none.
	Flag string
	// Default is the default as a flag would give it.
	Default string
	// Allowed describes the valid values: "a whole number from 1 to 65535".
	Allowed string
	// Doc is a paragraph; its first sentence is the flag's usage.
	Doc string
}

// Keys lists every key, in the order of the example file.
func Keys() []Key {
	rows := table()
	keys := make([]Key, len(rows))
	for i, r := range rows {
		keys[i] = r.Key
	}
	return keys
}

// key is a row of the table: a Key, and where and how its value is stored.
type key struct {
	Key
	value
	secret bool // its value is never shown
}

// section and name are the two parts of the path.
func (k key) section() string { s, _, _ := strings.Cut(k.Path, "."); return s }
func (k key) name() string    { _, n, _ := strings.Cut(k.Path, "."); return n }

// defaults are the entries of the default.
func (k key) defaults() []string {
	entries, _ := k.split(k.Default)
	return entries
}

// split turns the text of a variable or a flag into entries. A list and a
// mapping are comma-separated; an entry that holds a comma goes in double quotes.
func (k key) split(text string) ([]string, error) {
	if k.form != formList && k.form != formMap {
		return []string{text}, nil
	}
	if strings.TrimSpace(text) == "" {
		return nil, nil
	}
	r := csv.NewReader(strings.NewReader(text))
	r.TrimLeadingSpace = true
	entries, err := r.Read()
	if err != nil {
		return nil, err
	}
	for i := range entries {
		entries[i] = strings.TrimSpace(entries[i])
	}
	return entries, nil
}

// show returns an entry as a message may quote it.
func (k key) show(entry string) string {
	if k.secret && entry != "" && entry != exampleAPIKey {
		return mask
	}
	return quote(entry)
}

// quote makes text from outside safe for one line of a terminal.
func quote(s string) string {
	const most = 80
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "…"
	}
	return strconv.Quote(s)
}

// table is every key. Docs are plain text; config.example.yaml wraps them.
func table() []key {
	rows := serverKeys()
	rows = append(rows, daemonKeys()...)
	rows = append(rows, dockerAndSecurityKeys()...)
	rows = append(rows, previewAndTrafficKeys()...)
	rows = append(rows, loggingKeys()...)
	rows = append(rows, tuiKeys()...)
	for i := range rows {
		rows[i].Allowed = rows[i].allowed
	}
	return rows
}

func serverKeys() []key {
	return []key{{
		Key: Key{Path: "server.host", Env: "DAEMON_PROXY_HOST", Flag: "host", Default: "127.0.0.1",
			Doc: "Address to listen on. 127.0.0.1 and ::1 can be reached only from this machine. With 0.0.0.0 " +
				"everybody on the network can reach the API, so turn security on first."},
		value: text(func(c *Config) *string { return &c.Server.Host }, "an IP address or a host name, without port",
			checkHost),
	}, {
		Key: Key{Path: "server.port", Env: "DAEMON_PROXY_PORT", Flag: "port", Default: "8080",
			Doc: "TCP port to listen on."},
		value: number(func(c *Config) *int { return &c.Server.Port }, 1, 65535),
	}, {
		Key: Key{Path: "server.allowed_hosts", Env: "DAEMON_PROXY_ALLOWED_HOSTS", Flag: "allowed-hosts",
			Doc: "Additional host names that the server accepts. IP addresses, localhost, the preview domain and " +
				"this machine's own name are always accepted; any other Host is refused to prevent DNS rebinding."},
		value: list(func(c *Config) *[]string { return &c.Server.AllowedHosts },
			"a list of host names, without scheme and port", checkHost),
	}, {
		Key: Key{Path: "server.public_url", Env: "DAEMON_PROXY_PUBLIC_URL", Flag: "public-url",
			Doc: "Base URL of the links, for a server behind a reverse proxy. Empty: the host that the request was " +
				"sent to."},
		value: text(func(c *Config) *string { return &c.Server.PublicURL },
			"empty, or http:// or https:// with a host and an optional port, without a path", optional(checkPublicURL)),
	}, {
		Key: Key{Path: "server.preview_domain", Env: "DAEMON_PROXY_PREVIEW_DOMAIN", Flag: "preview-domain",
			Default: "localhost",
			Doc: "Domain of the host form of a link, http://TOKEN.DOMAIN:8080/. Browsers resolve every name under " +
				"localhost to this machine; any other domain needs a wildcard DNS record."},
		value: text(func(c *Config) *string { return &c.Server.PreviewDomain },
			"a domain name such as localhost or preview.example.com, without scheme, port and wildcard", checkDomain),
	}, {
		Key: Key{Path: "server.trusted_proxies", Env: "DAEMON_PROXY_TRUSTED_PROXIES", Flag: "trusted-proxies",
			Doc: "Reverse proxies whose X-Forwarded-* headers are trusted. These headers are dropped from requests " +
				"of all other clients."},
		value: list(func(c *Config) *[]string { return &c.Server.TrustedProxies },
			"a list of IP addresses and CIDR prefixes such as 10.0.0.0/8", checkPrefix),
	}, {
		Key: Key{Path: "server.max_connections", Env: "DAEMON_PROXY_MAX_CONNECTIONS", Flag: "max-connections",
			Default: "10000",
			Doc:     "Maximum number of open client connections."},
		value: number(func(c *Config) *int { return &c.Server.MaxConnections }, 1, 1_000_000),
	}, {
		Key: Key{Path: "server.read_only", Env: "DAEMON_PROXY_READ_ONLY", Flag: "read-only", Default: "false",
			Doc: "Refuse everything that changes something: the terminal UI disables such actions, and the API " +
				"answers them with 403 and the code read_only. Reading and previews go on, and so does what the " +
				"program does by itself, such as injecting daemon.container_name."},
		value: boolean(func(c *Config) *bool { return &c.Server.ReadOnly }),
	}, {
		Key: Key{Path: "server.metrics", Env: "DAEMON_PROXY_METRICS", Flag: "metrics", Default: "false",
			Doc: "Serve /metrics for Prometheus. It is guarded as the API is: with security on, Prometheus must send " +
				"the API key as its bearer token."},
		value: boolean(func(c *Config) *bool { return &c.Server.Metrics }),
	}, {
		Key: Key{Path: "server.tls.mode", Env: "DAEMON_PROXY_TLS_MODE", Flag: "tls-mode", Default: "off",
			Doc: "TLS mode; with TLS, plain requests can use HTTP/2. off: plain HTTP. self-signed: a private " +
				"authority signs a certificate for each name on demand; it is created once and kept as " +
				"tls-authority.pem under $XDG_STATE_HOME/daemon-proxy, and browsers must be told to trust it. " +
				"files: the certificate in cert and key, reloaded when it changes."},
		value: choice(func(c *Config) *string { return &c.Server.TLS.Mode }, strings.ToLower, nil, "off", "self-signed",
			"files"),
	}, {
		Key: Key{Path: "server.tls.cert", Env: "DAEMON_PROXY_TLS_CERT", Flag: "tls-cert",
			Doc: "Certificate chain in PEM, for TLS mode files. For the host form of links it must also be valid " +
				"for *.PREVIEW_DOMAIN."},
		value: localPath(func(c *Config) *string { return &c.Server.TLS.Cert }),
	}, {
		Key: Key{Path: "server.tls.key", Env: "DAEMON_PROXY_TLS_KEY", Flag: "tls-key",
			Doc: "Private key of that certificate, in PEM."},
		value: localPath(func(c *Config) *string { return &c.Server.TLS.Key }),
	}}
}

func daemonKeys() []key {
	return []key{{
		Key: Key{Path: "daemon.mode", Env: "DAEMON_MODE", Flag: "daemon-mode", Default: "auto",
			Doc: "Where the daemon runs. docker: in a container. host: on this machine. auto: docker if a Docker " +
				"engine answers, otherwise host."},
		value: choice(func(c *Config) *string { return &c.Daemon.Mode }, strings.ToLower, nil, "auto", "docker",
			"host"),
	}, {
		Key: Key{Path: "daemon.port", Env: "DAEMON_PORT", Flag: "daemon-port", Default: "2280",
			Doc: "TCP port of the daemon."},
		value: number(func(c *Config) *int { return &c.Daemon.Port }, 1, 65535),
	}, {
		Key: Key{Path: "daemon.path", Env: "DAEMON_PATH", Flag: "daemon-path",
			Doc: "Daemon binary on this machine, used only in host mode. Empty: /usr/local/bin/daytona if it " +
				"exists, otherwise the built-in daemon. If the path is set and the file is missing, that is an " +
				"error; there is no fallback."},
		value: localPath(func(c *Config) *string { return &c.Daemon.Path }),
	}, {
		Key: Key{Path: "daemon.container_name", Env: "DAEMON_CONTAINER_NAME", Flag: "container-name",
			Doc: "Container to use for /proxy/… and for links that name no sandbox; it is injected at startup. " +
				"Empty: the only running container."},
		value: text(func(c *Config) *string { return &c.Daemon.ContainerName },
			"empty, or a container's name: letters and digits, after the first also _ . -", optional(checkContainer)),
	}, {
		Key: Key{Path: "daemon.startup_timeout", Env: "DAEMON_STARTUP_TIMEOUT", Flag: "startup-timeout", Default: "30s",
			Doc: "Maximum time until a started daemon answers."},
		value: duration(func(c *Config) *time.Duration { return &c.Daemon.StartupTimeout }, minStartup, maxStartup,
			"from 100ms to 24h"),
	}, {
		Key: Key{Path: "daemon.injection_mode", Env: "DAEMON_INJECTION_MODE", Flag: "injection-mode", Default: "volume",
			Doc: "How the daemon gets into a container. volume: copy the binary from this machine and start it. " +
				"direct: start the daytona binary that the container already has."},
		value: choice(func(c *Config) *string { return &c.Daemon.InjectionMode }, strings.ToLower, nil, "volume",
			"direct"),
	}, {
		Key: Key{Path: "daemon.binary_source_path", Env: "DAEMON_BINARY_SOURCE_PATH", Flag: "binary-source-path",
			Doc: "Daemon binary on this machine that mode volume copies into the container. Empty: " +
				"/usr/local/bin/daytona if it exists, otherwise the built-in daemon."},
		value: localPath(func(c *Config) *string { return &c.Daemon.BinarySourcePath }),
	}, {
		Key: Key{Path: "daemon.work_dir", Env: "DAEMON_WORK_DIR", Flag: "daemon-work-dir",
			Doc: "Working directory of the daemon in the sandbox. Empty: the container's own working directory, or " +
				"/workspace if it has none."},
		value: text(func(c *Config) *string { return &c.Daemon.WorkDir }, "empty, or an absolute path in the sandbox",
			optional(checkSandboxPath)),
	}, {
		Key: Key{Path: "daemon.install_dir", Env: "DAEMON_INSTALL_DIR", Flag: "daemon-install-dir",
			Default: "/usr/local/bin",
			Doc: "Directory in the container that the binary is copied to. Change it for containers with a " +
				"read-only root filesystem."},
		value: text(func(c *Config) *string { return &c.Daemon.InstallDir }, "an absolute path in the container",
			checkSandboxPath),
	}, {
		Key: Key{Path: "daemon.env", Env: "DAEMON_ENV", Flag: "daemon-env",
			Doc: "Variables to add to the daemon's environment: a mapping of NAME: \"value\". As variable or flag: " +
				"A=1,B=2; put an entry that contains a comma in double quotes."},
		value: environment(func(c *Config) *map[string]string { return &c.Daemon.Env }),
	}, {
		Key: Key{Path: "daemon.stop_on_exit", Env: "DAEMON_STOP_ON_EXIT", Flag: "stop-on-exit", Default: "false",
			Doc: "Stop the daemons that this program started when it exits. Otherwise they keep running, and the " +
				"next start adopts them."},
		value: boolean(func(c *Config) *bool { return &c.Daemon.StopOnExit }),
	}}
}

func dockerAndSecurityKeys() []key {
	return []key{{
		Key: Key{Path: "docker.host", Env: "DOCKER_HOST", Flag: "docker-host",
			Doc: "The Docker engine to use. DOCKER_HOST is the docker CLI's own variable, and DOCKER_TLS_VERIFY and " +
				"DOCKER_CERT_PATH work as they do there. Set either host or context, not both; flags override the " +
				"environment, which overrides the file, and of the two variables DOCKER_HOST wins. Both empty: " +
				"the docker CLI's current context, or docker.engines."},
		value: text(func(c *Config) *string { return &c.Docker.Host },
			"empty, or an address such as unix:///var/run/docker.sock or tcp://10.0.0.5:2376",
			optional(checkDockerHost)),
	}, {
		Key: Key{Path: "docker.context", Env: "DOCKER_CONTEXT", Flag: "docker-context",
			Doc: "Engine to use, by name: a context of the docker CLI (docker context ls), a connection of the podman CLI, " +
				"or an engine that is found here, such as podman or colima."},
		value: text(func(c *Config) *string { return &c.Docker.Context },
			"empty, or a name: letters and digits, after the first also _ . + -", optional(checkContext)),
	}, {
		Key: Key{Path: "docker.engines", Env: "DOCKER_ENGINES", Flag: "docker-engines",
			Doc: "Several engines to use at once instead of the one of host or context: names as for context, or " +
				"addresses. The default sandbox is on the first one. Engines can also be opened and closed while the " +
				"program runs (E in the terminal UI); the next start with the same configuration opens the same ones."},
		value: list(func(c *Config) *[]string { return &c.Docker.Engines },
			"a list of names and addresses such as unix:///run/docker.sock or ssh://user@host", checkEngine),
	}, {
		Key: Key{Path: "docker.reach", Env: "DOCKER_REACH", Flag: "docker-reach", Default: "auto",
			Doc: "How the ports of containers are reached. direct: at the container's address. bridge: through one " +
				"process in the container, which this program copies there and the engine starts. helper: through a " +
				"container of this program in the container's network (see docker.helper). auto: direct where that " +
				"address leads to the container, otherwise bridge, and helper where nothing can be put into the container."},
		value: choice(func(c *Config) *string { return &c.Docker.Reach }, strings.ToLower, nil, "auto", "direct",
			"bridge", "helper"),
	}, {
		Key: Key{Path: "docker.helper", Env: "DOCKER_HELPER", Flag: "docker-helper", Default: "auto",
			Doc: "When a container gets a helper, a container of this program in its network, instead of a daemon in it. " +
				"auto: where nothing can be put into the container, such as with a read-only root. always: nothing is ever " +
				"put into a container. never: such a container cannot be used. It has no effect if docker.reach is direct " +
				"or bridge."},
		value: choice(func(c *Config) *string { return &c.Docker.Helper }, strings.ToLower, nil, "auto", "always",
			"never"),
	}, {
		Key: Key{Path: "security.enabled", Env: "SECURITY_ENABLED", Flag: "security-enabled", Default: "false",
			Doc: "Require the API key for the API and /proxy. Preview links need only their token."},
		value: boolean(func(c *Config) *bool { return &c.Security.Enabled }),
	}, {
		Key: Key{Path: "security.api_key", Env: "SECURITY_API_KEY",
			Doc: "The API key, sent as X-API-Key or as Authorization: Bearer. It must be set if security is on, " +
				"and must not be your-secret-key. It has no flag, because every user of the machine can read the " +
				"arguments of a process. Keep the file that contains it at mode 0600."},
		value: text(func(c *Config) *string { return &c.Security.APIKey },
			"empty, or visible ASCII characters without spaces", optional(checkAPIKey)),
		secret: true,
	}}
}

func previewAndTrafficKeys() []key {
	return []key{{
		Key: Key{Path: "preview.default_ttl", Env: "PREVIEW_DEFAULT_TTL", Flag: "default-ttl", Default: "0",
			Doc: "Lifetime of a link whose creator sets none. 0: until it is revoked."},
		value: duration(func(c *Config) *time.Duration { return &c.Preview.DefaultTTL }, 0, maxTTL, "from 0 to 3650d"),
	}, {
		Key: Key{Path: "preview.state_file", Env: "PREVIEW_STATE_FILE", Flag: "state-file",
			Doc: "File that stores the links across restarts. Empty: daemon-proxy/links.db under $XDG_STATE_HOME " +
				"(~/.local/state)."},
		value: localPath(func(c *Config) *string { return &c.Preview.StateFile }),
	}, {
		Key: Key{Path: "preview.max_links", Env: "PREVIEW_MAX_LINKS", Flag: "max-links", Default: "1000",
			Doc: "Maximum number of active links."},
		value: number(func(c *Config) *int { return &c.Preview.MaxLinks }, 1, 1_000_000),
	}, {
		Key: Key{Path: "preview.fence", Env: "PREVIEW_FENCE", Flag: "preview-fence", Default: "true",
			Doc: "Keep the pages of previews away from other services on the viewer's machine. This adds a " +
				"Content-Security-Policy and a Connection-Allowlist to every answer of a preview. A single link " +
				"can be created without them."},
		value: boolean(func(c *Config) *bool { return &c.Preview.Fence }),
	}, {
		Key: Key{Path: "preview.rescue", Env: "PREVIEW_RESCUE", Flag: "preview-rescue", Default: "true",
			Doc: "Send a request that lost its /preview/TOKEN prefix back to the preview whose page made it."},
		value: boolean(func(c *Config) *bool { return &c.Preview.Rescue }),
	}, {
		Key: Key{Path: "preview.redirect_to_host", Env: "PREVIEW_REDIRECT_TO_HOST", Flag: "redirect-to-host",
			Default: "true",
			Doc: "Redirect a browser that opens the path form of a link on localhost to its host form, where the " +
				"preview has its own origin. Safari is not redirected, because it does not resolve names under " +
				"localhost."},
		value: boolean(func(c *Config) *bool { return &c.Preview.RedirectToHost }),
	}, {
		Key: Key{Path: "traffic.bodies", Env: "TRAFFIC_BODIES", Flag: "traffic-bodies", Default: "true",
			Doc: "Keep the first 64 KiB of each request and response body in memory for the request log."},
		value: boolean(func(c *Config) *bool { return &c.Traffic.Bodies }),
	}, {
		Key: Key{Path: "traffic.memory", Env: "TRAFFIC_MEMORY", Flag: "traffic-memory", Default: "32MiB",
			Doc: "Memory limit of the request log. It keeps the latest 10,000 requests with their headers and, if " +
				"traffic.bodies is on, their bodies and WebSocket frames. When the memory is used up, the " +
				"headers, bodies and frames of the oldest requests are discarded first, then the oldest requests; " +
				"what is cut or discarded is marked."},
		value: size(func(c *Config) *int { return &c.Traffic.Memory }, 1<<20, 1<<30),
	}}
}

func loggingKeys() []key {
	return []key{{
		Key: Key{Path: "logging.level", Env: "LOG_LEVEL", Flag: "log-level", Default: "INFO",
			Doc: "Lowest level that is logged."},
		value: choice(func(c *Config) *string { return &c.Logging.Level }, strings.ToUpper,
			// the other names of Python's logging module
			map[string]string{"WARN": "WARNING", "FATAL": "CRITICAL", "NOTSET": "DEBUG"},
			"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"),
	}, {
		Key: Key{Path: "logging.format", Env: "LOGGING_FORMAT", Flag: "log-format", Default: "text",
			Doc: "Format of a log line. text: time, level, message, key=value. json: one object per line. Or a " +
				"format of Python's logging module such as \"%(asctime)s - %(name)s - %(levelname)s - " +
				"%(message)s\"."},
		value: text(func(c *Config) *string { return &c.Logging.Format },
			"text, json or a Python format with %(message)s and other fields of a LogRecord", checkLogFormat),
	}, {
		Key: Key{Path: "logging.file", Env: "LOGGING_FILE", Flag: "log-file",
			Doc: "Log file. Empty: logs/daemon-proxy.log beside the configuration file; without one, " +
				"daemon-proxy/daemon-proxy.log under $XDG_STATE_HOME (~/.local/state)."},
		value: localPath(func(c *Config) *string { return &c.Logging.File }),
	}, {
		Key: Key{Path: "logging.max_size_mb", Env: "LOGGING_MAX_SIZE_MB", Flag: "log-max-size-mb", Default: "10",
			Doc: "Size in MiB at which a new log file is started."},
		value: number(func(c *Config) *int { return &c.Logging.MaxSizeMB }, 1, 10_000),
	}, {
		Key: Key{Path: "logging.max_backups", Env: "LOGGING_MAX_BACKUPS", Flag: "log-max-backups", Default: "3",
			Doc: "Number of old log files to keep."},
		value: number(func(c *Config) *int { return &c.Logging.MaxBackups }, 1, 1000),
	}}
}

func tuiKeys() []key {
	return []key{{
		Key: Key{Path: "tui.theme", Env: "TUI_THEME", Flag: "theme", Default: "auto",
			Doc: "Colours of the terminal UI. auto: follow the background of the terminal. NO_COLOR in the " +
				"environment means mono."},
		value: choice(func(c *Config) *string { return &c.TUI.Theme }, strings.ToLower, nil, "auto", "dark", "light",
			"mono"),
	}, {
		Key: Key{Path: "tui.ascii", Env: "TUI_ASCII", Flag: "ascii", Default: "false",
			Doc: "Draw the terminal UI in ASCII. This is always on if the locale is not UTF-8."},
		value: boolean(func(c *Config) *bool { return &c.TUI.ASCII }),
	}, {
		Key: Key{Path: "tui.mouse", Env: "TUI_MOUSE", Flag: "mouse", Default: "true",
			Doc: "Use the mouse in the terminal UI. If off, the terminal selects text with it; a key toggles this " +
				"while the UI runs."},
		value: boolean(func(c *Config) *bool { return &c.TUI.Mouse }),
	}, {
		Key: Key{Path: "tui.read_only", Env: "TUI_READ_ONLY", Default: "false",
			Doc: "Disable every action of the terminal UI that changes something, whatever server.read_only says. Saving requests and bodies stays " +
				"available: it writes files on this machine and touches no sandbox."},
		value: boolean(func(c *Config) *bool { return &c.TUI.ReadOnly }),
	}, {
		Key: Key{Path: "tui.keys", Env: "TUI_KEYS", Flag: "keys",
			Doc: "Keys for actions of the terminal UI: a mapping of action names, listed in docs/keys.md, to keys. " +
				"Example: inject: \"I, ctrl+n\"; none removes the key."},
		value: environment(func(c *Config) *map[string]string { return &c.TUI.Keys }),
	}}
}
