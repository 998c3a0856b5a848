//go:build !linux

package server

import "net/netip"

// holder names the program that listens on an address; here nobody says.
func holder(netip.AddrPort) string { return "" }
