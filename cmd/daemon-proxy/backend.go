package main

import (
	"daemon-proxy/core"
	"daemon-proxy/tui"
)

// A core is what the terminal UI needs of one, though neither knows the other.
var _ tui.Backend = (*core.Core)(nil)
