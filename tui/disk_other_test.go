//go:build !linux

package tui

import "testing"

func smallDisk(t *testing.T) string {
	t.Helper()
	t.Skip("a small disk needs Linux")
	return ""
}
