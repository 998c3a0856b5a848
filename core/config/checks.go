package config

import (
	"net/netip"
	"net/url"
	"path"
	"regexp"
	"strconv"
	"strings"
)

// exampleAPIKey is in the example of the Python service; mask replaces the key
// when a configuration is shown. Neither is accepted as a key.
const (
	exampleAPIKey = "your-secret-key"
	mask          = "***"
)

// checkHost accepts an IP address or a host name, and makes names lower case.
func checkHost(s string) (string, string, bool) {
	if _, err := netip.ParseAddr(s); err == nil {
		return s, "", true
	}
	return checkDomain(s)
}

// checkDomain accepts a host name (RFC 1123 §2.1, and _ in it, which people
// use): labels of at most 63, together at most 253 characters, the last not a
// number. One dot at the end is dropped.
func checkDomain(s string) (string, string, bool) {
	name := strings.ToLower(strings.TrimSuffix(s, "."))
	labels := strings.Split(name, ".")
	for _, label := range labels {
		if !isLabel(label) {
			return "", "", false
		}
	}
	if _, err := strconv.ParseUint(labels[len(labels)-1], 10, 64); err == nil {
		return "", "it looks like an IP address but is not one", false
	}
	return name, "", len(name) <= 253
}

// isLabel reports whether a lower-case label may stand in a host name.
func isLabel(label string) bool {
	if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
		return false
	}
	return strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") == ""
}

// checkPublicURL accepts an origin and drops a slash at its end.
func checkPublicURL(s string) (string, string, bool) {
	u, err := url.Parse(s)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.User != nil || u.Opaque != "" {
		return "", "", false
	}
	if strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.ForceQuery || strings.Contains(s, "#") {
		return "", "it has more than scheme, host and port", false
	}
	host, _, ok := checkHost(u.Hostname())
	if !ok || strings.Contains(host, "%") {
		return "", "its host is not allowed", false
	}
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	if strings.HasSuffix(u.Host, ":") {
		return "", "its port is not allowed", false
	}
	if p := u.Port(); p != "" {
		if n, err := strconv.Atoi(p); err != nil || n < 1 || n > 65535 {
			return "", "its port is not allowed", false
		}
		host += ":" + p
	}
	return u.Scheme + "://" + host, "", true
}

// checkPrefix accepts an IP address or a CIDR prefix.
func checkPrefix(s string) (string, string, bool) {
	if _, err := netip.ParseAddr(s); err == nil {
		return s, "", true
	}
	_, err := netip.ParsePrefix(s)
	return s, "", err == nil
}

// checkContainer accepts what Docker takes as a name, and "container:NAME".
func checkContainer(s string) (string, string, bool) {
	return s, "", isName(strings.TrimPrefix(s, "container:"), "_.-")
}

// checkContext accepts what the docker CLI takes as a context's name.
func checkContext(s string) (string, string, bool) {
	return s, "", isName(s, "_.+-")
}

// checkEngine accepts the name of a context and an address with a scheme.
func checkEngine(s string) (string, string, bool) {
	if strings.Contains(s, "://") {
		return checkDockerHost(s)
	}
	return checkContext(s)
}

// isName reports whether s begins with an ASCII letter or digit and continues
// with those and the characters of inside.
func isName(s, inside string) bool {
	const alnum = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	return s != "" && strings.Contains(alnum, s[:1]) && strings.Trim(s, alnum+inside) == ""
}

// checkSandboxPath accepts an absolute path of a Linux file system.
func checkSandboxPath(s string) (string, string, bool) {
	return path.Clean(s), "", strings.HasPrefix(s, "/")
}

// checkDockerHost accepts an address with a scheme; the engine decides which
// schemes can be dialled.
func checkDockerHost(s string) (string, string, bool) {
	scheme, rest, found := strings.Cut(s, "://")
	return s, "", found && isName(scheme, "+") && rest != "" && !strings.ContainsAny(rest, " \t")
}

// checkAPIKey accepts text that a header field can contain unchanged.
func checkAPIKey(s string) (string, string, bool) {
	for _, r := range s {
		if r <= ' ' || r > '~' {
			return "", "", false
		}
	}
	return s, "", true
}

// pythonFormat is the grammar of printf-style formatting with named fields,
// as the formats of Python's logging module use it. A width has at most three digits.
// https://docs.python.org/3/library/stdtypes.html#printf-style-string-formatting
var pythonFormat = regexp.MustCompile(`^(?:[^%]|%%|%\(\w+\)[-#0 +]*\d{0,3}(?:\.\d{0,3})?[diouxXeEfFgGsra])*$`)

// pythonField is one named field in such a format.
var pythonField = regexp.MustCompile(`%%|%\((\w+)\)`)

// checkLogFormat accepts text, json (in any case) and Python formats whose
// fields exist and hold at least one.
func checkLogFormat(s string) (string, string, bool) {
	if lower := strings.ToLower(s); lower == "text" || lower == "json" {
		return lower, "", true
	}
	fields := 0
	for _, m := range pythonField.FindAllStringSubmatch(s, -1) {
		if m[1] == "" {
			continue
		}
		if fields++; !isRecordField(m[1]) {
			return "", "%(" + m[1] + ") is not a field of a LogRecord", false
		}
	}
	if fields > 0 && !pythonFormat.MatchString(s) {
		return "", "a % is neither %% nor a complete %(field)s", false
	}
	return s, "", fields > 0
}

// isRecordField reports whether name is an attribute of Python's LogRecord that
// a format may show.
// https://docs.python.org/3/library/logging.html#logrecord-attributes
func isRecordField(name string) bool {
	switch name {
	case "asctime", "created", "filename", "funcName", "levelname", "levelno", "lineno", "message",
		"module", "msecs", "name", "pathname", "process", "processName", "relativeCreated",
		"taskName", "thread", "threadName":
		return true
	}
	return false
}

// conflict is a problem of several keys together, reported where the first of
// these keys was given.
type conflict struct {
	Problem
	keys []string
}

// conflicts returns the problems of values that are allowed on their own.
func (c Config) conflicts() []conflict {
	var found []conflict
	if key := c.Security.APIKey; c.Security.Enabled && (key == "" || key == exampleAPIKey || key == mask) {
		found = append(found, conflict{
			Problem{Key: "security.api_key", Value: quote(key),
				Text: "want a key of your own while security.enabled is true"},
			[]string{"security.api_key", "security.enabled"},
		})
	}
	for _, file := range [...]struct{ path, name string }{{"server.tls.cert", c.Server.TLS.Cert},
		{"server.tls.key", c.Server.TLS.Key}} {
		if c.Server.TLS.Mode == "files" && file.name == "" {
			found = append(found, conflict{
				Problem{Key: file.path, Value: quote(""), Text: "want a file while server.tls.mode is files"},
				[]string{file.path, "server.tls.mode"},
			})
		}
	}
	if c.Docker.Reach == "helper" && c.Docker.Helper == "never" {
		found = append(found, conflict{
			Problem{Key: "docker.helper", Value: quote(c.Docker.Helper), Text: "want auto while docker.reach is helper"},
			[]string{"docker.helper", "docker.reach"},
		})
	}
	switch {
	case c.Docker.Host != "" && c.Docker.Context != "":
		found = append(found, conflict{
			Problem{Key: "docker.context", Value: quote(c.Docker.Context),
				Text: "want only one of docker.host and docker.context"},
			[]string{"docker.context", "docker.host"},
		})
	case len(c.Docker.Engines) > 0 && c.Docker.Host+c.Docker.Context != "":
		found = append(found, conflict{
			Problem{Key: "docker.engines", Value: quote(strings.Join(c.Docker.Engines, ",")),
				Text: "want only one of docker.engines, docker.host and docker.context"},
			[]string{"docker.engines", "docker.host", "docker.context"},
		})
	}
	return found
}
