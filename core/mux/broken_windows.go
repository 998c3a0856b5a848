package mux

import "net"

// broken is not known here before what is in front of it was read.
func broken(net.Conn) bool { return false }
