//go:build !unix

package proxy

import "net"

// probe cannot check an idle connection on this platform.
type probe struct{}

func newProbe(net.Conn) *probe { return nil }

func (*probe) quietNow() (quiet, known bool) { return true, false }
