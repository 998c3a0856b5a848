package sandbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"time"

	"daemon-proxy/core/api"
	"daemon-proxy/core/carrier"
	"daemon-proxy/core/daemon"
	"daemon-proxy/core/echo"
	"daemon-proxy/core/logging"
	"daemon-proxy/core/mux"
	"daemon-proxy/core/sandbox/source"
)

// ErrNoProgram is the error of SelfTest if no program of ours is in the container.
var ErrNoProgram = errors.New("no program of daemon-proxy is in the container")

// pageWithin bounds the start of the self-test page.
const pageWithin = 10 * time.Second

// Container returns the container of ref as its engine has it now; it is a problem
// if it does not run.
func (s *Sandboxes) Container(ctx context.Context, ref api.Ref) (source.Container, error) {
	c, err := s.inspect(ctx, ref)
	if err == nil {
		err = s.why.notRunning(ref, c.State)
	}
	return c, err
}

// Carry connects to where the daemon of ref is expected, as a request would, and
// returns nil once that works; a bridge or a helper that rests is started.
func (s *Sandboxes) Carry(ctx context.Context, ref api.Ref) error {
	_, up, err := s.upstream(ref)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, max(up.DialTimeout, callTimeout))
	defer cancel()
	conn, err := up.Dial(ctx)
	if err != nil {
		return err
	}
	return conn.Close()
}

// CallDaemon calls the daemon of ref. other is true if it, or the bridge to it, is
// of another build of this program.
func (s *Sandboxes) CallDaemon(ctx context.Context, ref api.Ref) (f daemon.Info, other bool, err error) {
	client, err := s.client(ref)
	if err != nil {
		return f, false, err
	}
	if f, err = client.Version(ctx); err != nil {
		return f, false, err
	}
	owner, c, err := s.ownerOf(ref)
	if err != nil || c.HostNetwork {
		return f, false, err
	}
	itsDaemon, itsBridge := route{owner, c}.otherBuild(f)
	return f, itsDaemon || itsBridge, nil
}

// ownerOf returns the box whose daemon ref uses, and its container.
func (s *set) ownerOf(ref api.Ref) (*box, source.Container, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b := s.boxes[ref]
	if b == nil {
		return nil, source.Container{}, missing(ref)
	}
	owner, err := b.owner()
	if err != nil {
		return nil, source.Container{}, err
	}
	return owner, owner.container, nil
}

// SelfTest serves the self-test page on a port of ref until end is called. In a
// container it is a process of the program that an injection has put there, or else
// of another helper; nothing is copied. The error may be ErrNoProgram.
func (s *Sandboxes) SelfTest(ctx context.Context, ref api.Ref) (port int, end func(), err error) {
	owner, c, err := s.ownerOf(ref)
	if err != nil {
		return 0, nil, err
	}
	if c.HostNetwork {
		return echo.Listen(ctx)
	}
	ctx, cancel := context.WithTimeout(ctx, pageWithin)
	defer cancel()
	said := &carrier.Complaints{}
	conn, err := s.openPage(ctx, route{owner, c}, said)
	if errors.Is(err, carrier.ErrNoBridge) || errors.Is(err, fs.ErrNotExist) {
		return 0, nil, ErrNoProgram
	}
	if err != nil {
		return 0, nil, err
	}
	noise, err := mux.Greeting(ctx, conn, func(line []byte) (is bool) {
		port, is = echo.Port(string(line))
		return is
	})
	end = func() { s.endPage(conn) }
	if err == nil {
		return port, end, nil
	}
	end()
	const most = 300
	if why := logging.Line(string(noise)+said.String(), most); why != "" && ctx.Err() == nil {
		err = errors.New(why)
	}
	return 0, nil, fmt.Errorf("the self-test page does not start: %w", err)
}

// openPage starts the self-test page for r.
func (s *set) openPage(ctx context.Context, r route, complaints io.Writer) (net.Conn, error) {
	job := s.job(r.Ref, r.c)
	if r.chosen() == api.ViaHelper {
		return s.openHelper(ctx, job, "echo", complaints)
	}
	return s.openInside(ctx, job, "echo", complaints)
}

// endPage ends the process of a page, and its helper if it has one.
func (s *set) endPage(conn net.Conn) {
	conn.Close()
	if helper, ok := conn.(source.HelperConn); ok {
		ctx, cancel := context.WithTimeout(context.Background(), pageWithin)
		defer cancel()
		if err := helper.End(ctx); err != nil {
			s.log.Warn("the helper of a self-test may be left behind", "error", err)
		}
	}
}
