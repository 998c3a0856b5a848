package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"regexp"
	"runtime"
	"strings"

	"daemon-proxy/core/api"
	"daemon-proxy/core/bridge"
	"daemon-proxy/core/client"
	"daemon-proxy/core/config"
	"daemon-proxy/core/logging"
)

const (
	// keyEnv holds the API key of the core that is named; keyFileEnv names a file
	// that holds it.
	keyEnv     = "DAEMON_PROXY_API_KEY"
	keyFileEnv = "DAEMON_PROXY_API_KEY_FILE"
	// longestKey bounds what is read of that file.
	longestKey = 4 << 10
)

// far is the way to a core that was named by an address.
type far struct {
	Client *client.Client
	// Name is what people call it: "dev-box (ssh)". Empty: its URL says it.
	Name string
	// Previews is where this machine has the core's previews, without a slash at
	// its end: "http://localhost:8080". Empty: it has none, since ssh carries calls only.
	Previews string
	// Own: the core was started there for this session, and ends with it.
	Own bool
	// Done is closed when the connection has ended by itself, and Err says why. It
	// is nil over HTTP, where each call makes its own.
	Done <-chan struct{}
	Err  func() error
	// Close ends the way, and with it the previews on this machine.
	Close func() error
}

// farOptions configure openFar.
type farOptions struct {
	Config config.Config
	// Previews serves the previews of a core that ssh reaches at a local port:
	// server.port, or the next one that is free.
	Previews bool
	// Reopen opens the way again once ssh has ended, as long as that needs no person.
	Reopen bool
	// Stderr gets warnings, and what ssh has to say while it connects.
	Stderr io.Writer
	Logger *slog.Logger // of the previews; nil: nobody
}

// openFar opens the way to the core at an address: http:// or https:// and a
// host, or ssh://[user@]host[:port]. ssh may ask for a password at the terminal.
func openFar(ctx context.Context, address string, o farOptions) (*far, error) {
	if strings.HasPrefix(address, bridge.Scheme) {
		return overBridge(ctx, address, o)
	}
	if u, err := url.Parse(address); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, usageError{fmt.Errorf("--server or %s is %q: want http://HOST:PORT, https://HOST or ssh://[USER@]HOST",
			serverEnv, withoutPassword(address))}
	}
	key, err := farKey(o.Config)
	if err != nil {
		return nil, err
	}
	c, err := clientOf(address, key, o.Config)
	if err != nil {
		return nil, err
	}
	if key != "" && inTheOpen(address) {
		fmt.Fprintf(o.Stderr, "daemon-proxy: warning: the API key goes to %s unencrypted, for everybody on the way to read\n"+
			"  try: https:// with server.tls.mode there, or --server ssh://HOST\n", logging.Printable(c.URL()))
	}
	return &far{
		Client: c, Previews: c.URL(), Err: func() error { return nil }, Close: func() error { return nil },
	}, nil
}

// check returns nil if a core of a fitting protocol answers there; it may still
// refuse the key.
func (f *far) check(ctx context.Context) error { return f.ask(ctx, f.Client.Check) }

// usable returns nil if that core also accepts the key.
func (f *far) usable(ctx context.Context) error {
	return f.ask(ctx, func(ctx context.Context) error {
		err := f.Client.Check(ctx)
		if err == nil {
			_, err = f.Client.Status(ctx)
		}
		return err
	})
}

// ask makes a first call. The error is for a person: it names the core, not the call.
func (f *far) ask(ctx context.Context, call func(context.Context) error) error {
	asking, stop := context.WithTimeout(ctx, farWithin)
	defer stop()
	err := call(asking)
	if err == nil || ctx.Err() != nil {
		return err
	}
	name := cmp.Or(f.Name, withoutPassword(f.Client.URL()))
	if asking.Err() != nil {
		return hintedError{fmt.Errorf("the core at %s has not answered for %v", name, farWithin),
			"repeat the command, or check that daemon-proxy runs there", exitNoCore}
	}
	problem, ok := errors.AsType[*api.Problem](err)
	switch {
	case !ok: // no answer of ours
		return hintedError{fmt.Errorf("what answers at %s is not daemon-proxy: %w", name, err), checkAddress, exitFailed}
	case problem.Code == api.CodeUnknownRoute || problem.Code == api.CodeBadUpstream:
		return hintedError{fmt.Errorf("%s is not the address of daemon-proxy: %w", name, problem), checkAddress, exitFailed}
	case problem.Code == api.CodeCoreUnreachable, problem.Code == api.CodeProtocolMismatch:
		return atTheTerminal(problem) // which names it
	}
	return atTheTerminal(fmt.Errorf("the core at %s: %w", name, problem))
}

// checkAddress is what to do where something else answers.
const checkAddress = "correct --server or " + serverEnv + ": the start of the URL, such as http://localhost:8080"

func overBridge(ctx context.Context, address string, o farOptions) (*far, error) {
	target, err := bridge.ParseTarget(address)
	if err != nil {
		return nil, usageError{fmt.Errorf("--server %q: %w", withoutPassword(address), err)}
	}
	session, err := bridge.SSH(ctx, target, bridge.SSHOptions{Stderr: o.Stderr})
	if err != nil {
		if ctx.Err() != nil {
			return nil, err
		}
		return nil, hintedError{err, api.AsProblem(err).Hint, exitNoCore}
	}
	f := &far{
		Name: target.Host + " (ssh)", Own: session.Greeting().Own, Done: session.Done(),
		Err: session.Err, Close: session.Close,
	}
	var way bridge.Way = session
	if o.Reopen {
		line := bridge.NewLine(session, func(ctx context.Context) (*bridge.Session, error) {
			return bridge.SSH(ctx, target, bridge.SSHOptions{Unattended: true})
		})
		way, f.Close = line, line.Close
	}
	base := "http://" + net.JoinHostPort("localhost", portOf(session.Greeting().Address))
	if o.Previews {
		previews, err := bridge.ServePreviews(ctx, way, o.Config.Server.Port, o.Logger)
		if err != nil {
			return nil, errors.Join(err, f.Close())
		}
		end := f.Close
		f.Previews, base = previews.URL(), previews.URL()
		f.Close = func() error { return errors.Join(previews.Close(), end()) }
	}
	f.Client, err = client.New(base, client.WithHTTPClient(&http.Client{
		Transport:     way.Transport(o.Previews),
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}))
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return f, nil
}

// portOf is the port of an address.
func portOf(address string) string {
	_, port, _ := net.SplitHostPort(address) // "" makes no URL, which is then reported
	return port
}

// password finds one in an address, also in one that is mistyped.
var password = regexp.MustCompile(`^((?:\w+:/*)?[^:@]*):.*@`)

// withoutPassword is an address as an error may show it.
func withoutPassword(address string) string {
	return password.ReplaceAllString(address, "$1:…@")
}

// farKey is the API key for a core that was named.
func farKey(cfg config.Config) (string, error) {
	if key := os.Getenv(keyEnv); key != "" {
		return key, nil
	}
	name := os.Getenv(keyFileEnv)
	if name == "" {
		return cfg.Security.APIKey, nil
	}
	file, err := os.Open(name) //nolint:gosec // the person's own choice
	if err != nil {
		return "", usageError{fmt.Errorf("%s: %w", keyFileEnv, err)}
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return "", usageError{fmt.Errorf("%s: %w", keyFileEnv, err)}
	}
	if runtime.GOOS != "windows" && info.Mode().Perm()&0o077 != 0 {
		return "", usageError{fmt.Errorf("%s: others may use %s (mode %04o): chmod 600 it",
			keyFileEnv, name, info.Mode().Perm())}
	}
	text, err := io.ReadAll(io.LimitReader(file, longestKey))
	if err != nil {
		return "", usageError{fmt.Errorf("%s: %w", keyFileEnv, err)}
	}
	key := strings.TrimSpace(string(text))
	if key == "" || strings.ContainsAny(key, "\r\n") {
		return "", usageError{fmt.Errorf("%s: %s must have one line, the key", keyFileEnv, name)}
	}
	return key, nil
}

// inTheOpen reports whether what is sent to a URL can be read on a network.
func inTheOpen(address string) bool {
	u, err := url.Parse(address)
	if err != nil || u.Scheme != "http" {
		return false
	}
	addr, err := netip.ParseAddr(u.Hostname())
	here := u.Hostname() == "localhost" || strings.HasSuffix(u.Hostname(), ".localhost") ||
		err == nil && addr.IsLoopback()
	return !here
}

// stay serves the previews of a core that ssh reaches until ctx ends, or says
// why they ended earlier. With any other core, others serve them.
func (r *remote) stay(ctx context.Context) error {
	if r.far == nil || r.far.Done == nil {
		return nil
	}
	fmt.Fprintln(r.stderr, "daemon-proxy serves this through ssh until you press Ctrl-C")
	select {
	case <-ctx.Done():
		return nil
	case <-r.far.Done:
		return cmp.Or(r.far.Err(), ctx.Err())
	}
}
