package core

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/echo"
	"daemon-proxy/core/sandbox"
	"daemon-proxy/core/sandbox/source"
	"daemon-proxy/core/server"
)

// ownWithin bounds a call of the core's own server.
const ownWithin = 5 * time.Second

// engineWithin bounds a call of an engine.
const engineWithin = 10 * time.Second

// Diagnose implements api.Core. The self-test page runs in the sandbox meanwhile, and
// the requests to it are in the request log.
func (c *Core) Diagnose(ctx context.Context, ref api.Ref, report func(api.Finding)) error {
	d := &doctor{core: c, report: report}
	if report == nil {
		d.report = func(api.Finding) {}
	}
	full, err := c.Resolve(ref)
	if err != nil && ref.Name != "" {
		return err
	}
	if err != nil {
		full = api.Ref{}
	}
	d.checkCore(ctx, full)
	if err != nil {
		d.find("container", api.FoundSkipped, err.Error(), "name a sandbox to have the way to it checked")
	} else if !d.failed {
		d.checkWay(ctx, full)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	d.report(d.conclusion())
	return nil
}

// doctor makes one diagnosis.
type doctor struct {
	core   *Core
	report func(api.Finding)
	began  time.Time // of the current hop
	failed bool
	losses int
}

// find reports a finding about a hop that has taken since began.
func (d *doctor) find(hop, state, detail, hint string, lost ...string) {
	f := api.Finding{Hop: hop, State: state, Detail: detail, Hint: hint, Lost: lost}
	if !d.began.IsZero() && state != api.FoundSkipped {
		f.DurationMS = float64(time.Since(d.began).Microseconds()) / 1000
	}
	d.failed = d.failed || state == api.FoundFailed
	if state == api.FoundLoss {
		d.losses++
	}
	d.report(f)
	d.began = time.Now()
}

// fail reports that a hop does not work; the hint is the error's own, if it has one.
func (d *doctor) fail(hop string, err error, hint string) {
	if p, ok := errors.AsType[*api.Problem](err); ok && p.Hint != "" {
		hint = p.Hint
	}
	d.find(hop, api.FoundFailed, err.Error(), hint)
}

func (d *doctor) conclusion() api.Finding {
	end := api.Finding{State: api.FoundOK, Detail: "all is well", Finished: true}
	switch {
	case d.failed:
		end.State, end.Detail = api.FoundFailed, "the way is broken at the hop that failed"
	case d.losses > 0:
		end.State, end.Detail = api.FoundLoss, "the way works, with losses at "+strconv.Itoa(d.losses)+" of its hops"
	}
	return end
}

// checkCore checks what all sandboxes share, and the engine of ref.
func (d *doctor) checkCore(ctx context.Context, ref api.Ref) {
	d.began = time.Now()
	config := d.core.options.Config
	from := "without a configuration file"
	if config.File != "" {
		from = "configured by " + config.File
	}
	d.find("core", api.FoundOK, fmt.Sprintf("daemon-proxy %s, protocol %s, %s", d.core.options.Version, api.Protocol, from), "")
	if info, err := os.Stat(config.StateDir); err != nil {
		d.fail("state", err, "make the state directory, or set XDG_STATE_HOME to a folder that is yours")
	} else {
		stats := d.core.links.Stats()
		d.find("state", api.FoundOK, fmt.Sprintf("%d active links in %s, mode %v of %s",
			stats.Active, config.Preview.StateFile, info.Mode().Perm(), config.StateDir), "")
	}
	if err := d.callOwn(ctx); err != nil {
		d.fail("server", err, "see the log: "+config.Logging.File)
	} else {
		d.find("server", api.FoundOK, "listens on "+d.core.address.String()+", answers as "+d.core.URL(), "")
	}
	d.checkEngines(ctx, ref)
}

// callOwn asks the core's own server for its health.
func (d *doctor) callOwn(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, ownWithin)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) { return d.core.dialOwn(ctx) },
	}}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+d.core.ownHost()+"/health", http.NoBody)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("GET /health is answered with %d", response.StatusCode)
	}
	return nil
}

// dialOwn connects to the core's own server. Its certificate is not checked: it may be
// for another name.
func (c *Core) dialOwn(ctx context.Context) (net.Conn, error) {
	address := c.address.String()
	if at, err := netip.ParseAddrPort(address); err == nil && at.Addr().IsUnspecified() {
		loopback := netip.AddrFrom4([4]byte{127, 0, 0, 1})
		if at.Addr().Is6() {
			loopback = netip.IPv6Loopback()
		}
		address = netip.AddrPortFrom(loopback, at.Port()).String()
	}
	if mode := c.options.Config.Server.TLS.Mode; mode == "" || mode == "off" {
		var dialer net.Dialer
		return dialer.DialContext(ctx, "tcp", address)
	}
	dialer := &tls.Dialer{Config: &tls.Config{
		ServerName: "localhost", MinVersion: tls.VersionTLS12, InsecureSkipVerify: true, //nolint:gosec // see above
	}}
	return dialer.DialContext(ctx, "tcp", address)
}

// ownHost is a Host header that the core's own server accepts.
func (c *Core) ownHost() string {
	_, port, err := net.SplitHostPort(c.address.String())
	if err != nil {
		return "localhost"
	}
	return net.JoinHostPort("localhost", port)
}

// checkEngines checks the engine of a sandbox; of the zero Ref all that are open.
func (d *doctor) checkEngines(ctx context.Context, ref api.Ref) {
	states, err := d.core.EngineStates(ctx)
	if err != nil {
		d.fail("engine", err, "")
		return
	}
	if ref.IsHost() || len(states) == 0 {
		d.find("engine", api.FoundSkipped, "none is needed", "")
		return
	}
	for _, e := range states {
		if ref.Engine == "" || ref.Engine == e.Name {
			d.checkEngine(ctx, e)
		}
	}
}

func (d *doctor) checkEngine(ctx context.Context, e api.EngineStatus) {
	d.began = time.Now()
	var err error
	if o := d.core.find(e.Name); o != nil && e.State == "connected" {
		err = inTime(ctx, o.sandboxes.RetryEngine)
	}
	switch {
	case err != nil:
		d.fail("engine", err, "R in the terminal UI tries again")
	case e.Error != nil:
		d.fail("engine", e.Error, "start it, or close it: E in the terminal UI")
	case e.State != "connected":
		d.find("engine", api.FoundFailed, e.Name+" at "+e.Endpoint+" is "+e.State, "try again in a moment")
	default:
		d.find("engine", api.FoundOK, fmt.Sprintf("%s %s at %s lists its containers", e.Name, e.Version, e.Endpoint), "")
	}
}

// inTime calls an engine, which may be frozen.
func inTime(ctx context.Context, call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, engineWithin)
	defer cancel()
	err := call(ctx)
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return fmt.Errorf("the engine has not answered for %v", engineWithin)
	}
	return err
}

// checkWay checks the way to a sandbox, up to the first hop that fails.
func (d *doctor) checkWay(ctx context.Context, ref api.Ref) {
	s, ref, err := d.core.at(ref)
	if err != nil {
		d.fail("container", err, "")
		return
	}
	for _, check := range []func(context.Context, *sandbox.Sandboxes, api.Ref){
		d.checkContainer, d.checkCarrier, d.checkDaemon, d.checkPort,
	} {
		if check(ctx, s, ref); d.failed || ctx.Err() != nil {
			return
		}
	}
}

func (d *doctor) checkContainer(ctx context.Context, s *sandbox.Sandboxes, ref api.Ref) {
	d.began = time.Now()
	if ref.IsHost() {
		d.find("container", api.FoundSkipped, "it is this machine", "")
		return
	}
	var c source.Container
	err := inTime(ctx, func(ctx context.Context) (err error) {
		c, err = s.Container(ctx, ref)
		return err
	})
	if err != nil {
		d.fail("container", err, "docker ps -a shows its state")
		return
	}
	d.find("container", api.FoundOK, fmt.Sprintf("%s runs, %s, image %s", ref, c.Platform, c.Image), "")
}

func (d *doctor) checkCarrier(ctx context.Context, s *sandbox.Sandboxes, ref api.Ref) {
	if ref.IsHost() {
		d.find("carrier", api.FoundSkipped, "none is needed", "")
		return
	}
	err := s.EnsureHost(ref)
	if err == nil {
		err = s.Carry(ctx, ref)
	}
	box, _ := s.Get(ref)
	if errors.Is(err, &api.Problem{Code: api.CodeNoDaemon}) {
		d.find("daemon", api.FoundFailed, "no daemon is in "+ref.String(), "inject it: daemon-proxy inject "+ref.Long())
		return
	}
	if err != nil {
		d.fail("carrier", err, "inject the daemon again: daemon-proxy inject "+ref.Long())
		return
	}
	detail := box.Via
	switch {
	case box.SharesNetworkOf != "":
		detail = "the network of " + box.SharesNetworkOf
	case box.ViaReason != "":
		detail += ": " + box.ViaReason
	case box.Address != "":
		detail += ", " + box.Address
	}
	d.find("carrier", api.FoundOK, detail, "")
}

func (d *doctor) checkDaemon(ctx context.Context, s *sandbox.Sandboxes, ref api.Ref) {
	d.began = time.Now()
	if err := s.EnsureHost(ref); err != nil {
		d.fail("daemon", err, "")
		return
	}
	f, other, err := s.CallDaemon(ctx, ref)
	switch {
	case err != nil:
		d.fail("daemon", err, "inject it again: daemon-proxy inject "+ref.Long())
	case other:
		d.find("daemon", api.FoundLoss, fmt.Sprintf("%s %s answers; it, or the bridge to it, is of another build of daemon-proxy",
			f.Kind, f.Version), "replace it: daemon-proxy inject "+ref.Long())
	default:
		d.find("daemon", api.FoundOK, fmt.Sprintf("%s %s answers", f.Kind, f.Version), "")
	}
}

// checkPort serves the self-test page in the sandbox and calls it, first as the
// server would, then through the server.
func (d *doctor) checkPort(ctx context.Context, s *sandbox.Sandboxes, ref api.Ref) {
	d.began = time.Now()
	port, end, err := s.SelfTest(ctx, ref)
	if errors.Is(err, sandbox.ErrNoProgram) {
		d.find("port", api.FoundSkipped, "the self-test page cannot run: "+err.Error()+", since its daemon is another one", "")
		return
	}
	if err != nil {
		d.fail("port", err, "replace the program there: daemon-proxy eject "+ref.Long()+", then daemon-proxy inject "+ref.Long())
		return
	}
	defer end()
	up, err := d.core.Upstream(ref)
	if err != nil {
		d.fail("port", err, "")
		return
	}
	before := d.test(ctx, "port", wayTo(up, port), nil)
	if d.failed {
		return
	}
	header := http.Header{}
	if d.core.options.Config.Security.Enabled {
		header.Set("X-API-Key", d.core.key)
	}
	d.test(ctx, "front", echo.Way{
		Dial: d.core.dialOwn, Host: d.core.ownHost(), Header: header,
		Prefix: "/sandboxes/" + ref.Long() + "/proxy/" + strconv.Itoa(port),
	}, before)
}

// wayTo is how the server reaches a port: through the daemon or without it.
func wayTo(up server.Upstream, port int) echo.Way {
	if up.Port != nil {
		return echo.Way{Host: net.JoinHostPort("localhost", strconv.Itoa(port)),
			Dial: func(ctx context.Context) (net.Conn, error) { return up.Port(ctx, port) }}
	}
	header := http.Header{}
	if up.Header != nil {
		up.Header(header)
	}
	return echo.Way{Dial: up.Dial, Host: up.Authority, Header: header, Prefix: "/proxy/" + strconv.Itoa(port)}
}

// test calls the self-test page along a way and returns what is lost on it; before is
// what is lost on the part that was tested already.
func (d *doctor) test(ctx context.Context, hop string, way echo.Way, before []string) []string {
	d.began = time.Now()
	r, err := echo.Test(ctx, way)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		d.fail(hop, fmt.Errorf("the self-test page does not answer: %w", err), "see the log of daemon-proxy, and that of the daemon")
		return nil
	}
	detail := "kept: " + strings.Join(r.Kept, ", ")
	if r.Up > 0 && r.Down > 0 {
		detail += fmt.Sprintf(" (%.0f MB/s up, %.0f MB/s down)", r.Up/1e6, r.Down/1e6)
	}
	lost := r.Lost
	switch {
	case len(lost) == 0:
		d.find(hop, api.FoundOK, detail, "")
	case slices.Equal(before, lost):
		d.find(hop, api.FoundLoss, detail, "the same is lost at the hop before", lost...)
	default:
		d.find(hop, api.FoundLoss, detail, "it is lost at this hop; please report it with the output of --json", lost...)
	}
	return lost
}
