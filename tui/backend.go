package tui

import "daemon-proxy/core/api"

// What the UI needs from a core. It is never called from Update or View.
type (
	// Backend is a core.
	Backend = api.Backend
	// Events is its event stream.
	Events = api.Events
	// Terminal is the far end of a shell.
	Terminal = api.Terminal
)
