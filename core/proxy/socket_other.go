//go:build !linux

package proxy

import (
	"errors"
	"net"
	"time"
)

// over is not known here before what is in front of it was read.
func (*socket) over() (fin, reset bool) { return false, false }

// queued is not known here.
func (*socket) queued() int { return 0 }

// endUnheard leaves it to the system.
func (*socket) endUnheard(time.Duration) {}

// plainSocket is nil: readiness is not awaited here.
func plainSocket(net.Conn) *socket { return nil }

func (s *socket) read(func() []byte, func()) (int, error) { return 0, errors.ErrUnsupported }
