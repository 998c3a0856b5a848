package mux

import (
	"errors"
	"net"
	"os"
	"time"
)

// Pipes are an input and an output as one net.Conn, which closes both.
func Pipes(in, out *os.File) net.Conn { return pipes{in, out} }

// Standard is the process's standard input and output, for Pipes. Close ends a
// Read or Write of them that is blocked.
func Standard() (in, out *os.File) { return interruptible(os.Stdin), interruptible(os.Stdout) }

type pipes struct{ in, out *os.File }

func (p pipes) Read(b []byte) (int, error)  { return p.in.Read(b) }
func (p pipes) Write(b []byte) (int, error) { return p.out.Write(b) }

func (p pipes) Close() error { return errors.Join(p.in.Close(), p.out.Close()) }

// SetDeadline ignores that a system may have no deadlines for pipes: the
// keep-alive finds an end that takes nothing as well.
func (p pipes) SetDeadline(t time.Time) error {
	return errors.Join(p.SetReadDeadline(t), p.SetWriteDeadline(t))
}

func (p pipes) SetReadDeadline(t time.Time) error  { return supported(p.in.SetReadDeadline(t)) }
func (p pipes) SetWriteDeadline(t time.Time) error { return supported(p.out.SetWriteDeadline(t)) }

func supported(err error) error {
	if errors.Is(err, os.ErrNoDeadline) {
		return nil
	}
	return err
}

func (pipes) LocalAddr() net.Addr  { return address("near") }
func (pipes) RemoteAddr() net.Addr { return address("far") }

// address is a net.Addr that names an end of a bridge.
type address string

// Network is always "bridge".
func (address) Network() string { return "bridge" }

func (a address) String() string { return string(a) }
