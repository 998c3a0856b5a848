package pane

import "daemon-proxy/core/api"

// EventsMsg is a batch of events; the next one is requested when it is applied.
type EventsMsg []api.Event

// ReconnectedMsg reports a new event stream: earlier events may be missing.
type ReconnectedMsg struct{}

// PortsMsg is what listens in a sandbox, or why that is unknown.
type PortsMsg struct {
	Ref   api.Ref
	Round int
	Cards []api.PortCard
	Err   error
}

// SayMsg asks for a note; panes send it.
type SayMsg string

// FailMsg asks for an error line; panes send it.
type FailMsg struct {
	Action string
	Err    error
}
