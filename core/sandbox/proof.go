package sandbox

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"

	"daemon-proxy/core/api"
	"daemon-proxy/core/sandbox/source"
)

// Every engine assigns addresses from the same private ranges, so the address of
// a container on another machine may belong to a container here. A daemon is used only once it is proved to be in the container. The
// built-in daemon proves it with its secret, which is not sent before. The
// Daytona daemon has none: there the other end of our connection must be a
// socket in the container's network.

// challengePath is core/toolbox's ChallengePath.
const challengePath = "/challenge/v1/"

var (
	errNoChallenge = errors.New("the daemon cannot prove that it knows our secret: it is of an older version")
	errElsewhere   = errors.New("what answers there is not in the container")
	errUnproved    = errors.New("what answers there cannot be proved to be in the container")
)

// proof says where the daemon of a container is. The zero value: not proved.
type proof struct {
	id      string // of the container
	address string // without the port
	pid     int    // of a process of the container on this machine; 0: none is known
	inside  bool   // the container's own programs proved it, and nothing has changed since
	from    string // our own address then: another one means another route
}

// meet asks the daemon of the container c, which b is about, and has it prove
// that it is there. What is found is kept in b. The errors are those of probe,
// errSecret, errNoChallenge, errElsewhere and errUnproved, for several addresses joined.
func (s *Sandboxes) meet(ctx context.Context, b *box, c source.Container) (found, error) {
	s.mu.Lock()
	known, starts := b.proof, b.starts
	s.mu.Unlock()
	if known.id != c.ID {
		known = proof{}
	}
	addresses := slices.Clone(c.Addresses)
	if i := slices.Index(addresses, known.address); i > 0 {
		addresses[0], addresses[i] = addresses[i], addresses[0]
	}
	var errs []error
	for _, address := range addresses {
		f, got, err := s.meetAt(ctx, c, address, known)
		if err == nil {
			s.prove(b, c, starts, got)
			return f, nil
		}
		errs = append(errs, err)
	}
	if slices.ContainsFunc(errs, isRefused) { // a daemon that is started may listen there
		errs = slices.DeleteFunc(errs, func(err error) bool { return errors.Is(err, errElsewhere) })
	}
	err := errors.Join(errs...)
	if errors.Is(err, errElsewhere) || errors.Is(err, errUnproved) || errors.Is(err, errSecret) {
		s.prove(b, c, starts, proof{})
	}
	return found{}, err
}

func isRefused(err error) bool { return errors.Is(err, errRefused) }

// prove keeps what was found of the container c in b, unless the container was
// replaced, started again or moved to another address since it had started
// that many times.
func (s *Sandboxes) prove(b *box, c source.Container, starts int, p proof) {
	s.update(b, func(b *box) {
		if b.ID == c.ID && b.starts == starts && slices.Equal(b.container.Addresses, c.Addresses) {
			b.proof = p
		}
	})
}

// meetAt is meet at one address.
func (s *Sandboxes) meetAt(ctx context.Context, c source.Container, address string, known proof) (found, proof, error) {
	v, err := s.visit(ctx, address)
	if err != nil {
		return found{}, proof{}, err
	}
	defer v.close()
	f, err := v.version(ctx)
	got := proof{id: c.ID, address: address}
	switch {
	case err == nil && f.kind == kindBuiltIn:
		err = v.challenge(ctx, s.secretOf(c.ID))
	case err == nil:
		got, err = s.locate(ctx, c, v.conn, known)
		return f, got, err
	}
	late := errors.Is(err, errSilent) && known.address != address
	if late || errors.Is(err, errSecret) || errors.Is(err, errNoChallenge) || errors.Is(err, errNotDaemon) {
		if _, where := s.locate(ctx, c, v.conn, proof{}); errors.Is(where, errElsewhere) {
			err = where
		}
	}
	return f, got, err
}

// challenge has the built-in daemon prove that it knows the secret. It answers
// with a code over a nonce and the address at which it was reached.
func (v *visit) challenge(ctx context.Context, secret string) error {
	at, err := netip.ParseAddrPort(v.conn.RemoteAddr().String())
	if err != nil {
		return err
	}
	nonce := rand.Text()
	response, body, err := v.ask(ctx, http.MethodGet, challengePath+nonce, "") //nolint:bodyclose // ask has read and closed it
	if err != nil {
		return err
	}
	var answer struct{ Proof string }
	if response.StatusCode != http.StatusOK || json.Unmarshal(body, &answer) != nil {
		return fmt.Errorf("%w: the challenge is answered with %d", errNoChallenge, response.StatusCode)
	}
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte("daemon-proxy challenge v1\n" + nonce + "\n" + netip.AddrPortFrom(at.Addr().Unmap().WithZone(""), at.Port()).String()))
	if !hmac.Equal([]byte(answer.Proof), []byte(hex.EncodeToString(mac.Sum(nil)))) {
		return errSecret
	}
	return nil
}

// onThisMachine proves that a container which uses "the host's" network uses
// this machine's: its engine may be on another one.
func (s *Sandboxes) onThisMachine(ctx context.Context, b *box, c source.Container) error {
	s.mu.Lock()
	proved, starts := b.proof.id == c.ID && b.proof.id != "", b.starts
	s.mu.Unlock()
	if proved {
		return nil
	}
	var lc net.ListenConfig
	listener, err := lc.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("%w: %w", errUnproved, err)
	}
	defer listener.Close()
	d := net.Dialer{Timeout: dialTimeout}
	conn, err := d.DialContext(ctx, "tcp", listener.Addr().String())
	if err != nil {
		return fmt.Errorf("%w: %w", errUnproved, err)
	}
	defer conn.Close()
	got, err := s.locate(ctx, c, conn, proof{})
	if err == nil {
		s.prove(b, c, starts, got)
	}
	return err
}

// misplaced is the problem of a daemon that is not, or not provably, in the
// container of ref; nil if err is none of these.
func (s *Sandboxes) misplaced(ref api.Ref, c source.Container, err error) *api.Problem {
	what := "another answers at its address"
	if len(c.Addresses) > 0 {
		what = fmt.Sprintf("what answers at %s is not in %s", net.JoinHostPort(c.Addresses[0], fmt.Sprint(s.o.Config.Port)), ref)
	}
	switch {
	case c.HostNetwork && (errors.Is(err, errElsewhere) || errors.Is(err, errUnproved)):
		p := problem(ref, api.CodeUnreachable,
			ref.String()+" uses the network of the engine's machine, and that is not known to be this one: "+err.Error(),
			"run daemon-proxy on the engine's machine, or give the container a network of its own")
		p.Cause = err
		return p
	case errors.Is(err, errElsewhere):
		p := problem(ref, api.CodeUnreachable,
			what+": the engine's containers are not on a network of this machine, and here that address belongs to something else",
			"run daemon-proxy on the engine's machine, or put the container into a network whose addresses nothing here uses: "+
				s.o.Source.Hint(source.HintSubnet, ""))
		p.Cause = err
		return p
	case errors.Is(err, errUnproved):
		p := problem(ref, api.CodeUnreachable,
			"a daemon answers at the address of "+ref.String()+", but it is not used: "+err.Error(),
			"use the built-in daemon, which proves itself: end the other one and leave daemon.binary_source_path empty")
		p.Cause = err
		return p
	}
	return nil
}
