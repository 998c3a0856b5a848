//go:build !linux

package server

import "net/netip"

// holder names the program that listens on an address; not on this system.
func holder(netip.AddrPort) string { return "" }
