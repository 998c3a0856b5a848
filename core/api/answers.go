package api

import "time"

// Health is the document of GET /health. If the API key is required and missing,
// only Status is set.
type Health struct {
	// Status is "healthy" or "degraded".
	Status        string      `json:"status"`
	Version       string      `json:"version,omitempty"`
	Protocol      string      `json:"protocol,omitempty"` // of the HTTP API: "1.0"
	UptimeSeconds float64     `json:"uptime_seconds,omitempty"`
	Sandbox       string      `json:"sandbox,omitempty"` // the default sandbox
	Daemon        DaemonState `json:"daemon,omitempty"`  // the state of its daemon
	// Reason is why Status is "degraded", if known.
	Reason *Problem `json:"reason,omitempty"`
	// LostEngines are the engines that are open and do not answer. Status is only about
	// the default sandbox and its engine.
	LostEngines []string `json:"lost_engines,omitempty"`
	// Warning describes a dangerous setting of the server.
	Warning string `json:"warning,omitempty"`
}

// DaemonStatus is the document of GET /daemon/status.
type DaemonStatus struct {
	Mode           string      `json:"mode"` // "docker" or "host"
	Sandbox        string      `json:"sandbox"`
	ContainerState string      `json:"container_state"`
	State          DaemonState `json:"state"`
	Running        bool        `json:"running"`
	Kind           string      `json:"kind"`
	Version        string      `json:"version"`
	URL            string      `json:"url"`
	LatencyMS      float64     `json:"latency_ms"`
	Since          time.Time   `json:"since"`
	LastError      *Problem    `json:"last_error"`
}

// LinkStats is the document of GET /api/preview/stats: all current links and
// those that ended in the last thirty days, at most 10,000.
type LinkStats struct {
	Total    int    `json:"total"`
	Active   int    `json:"active"`
	Expired  int    `json:"expired"`
	Revoked  int    `json:"revoked"`
	Requests int64  `json:"requests"`
	Links    []Link `json:"links"`
}

// Links is the document of GET /api/preview.
type Links struct {
	Links []Link `json:"links"`
}

// Revoked is the answer of DELETE /api/preview/{token}.
type Revoked struct {
	Token   string `json:"token"`
	Revoked bool   `json:"revoked"`
}

// SandboxList is the document of GET /api/sandboxes.
type SandboxList struct {
	// Engine is the primary engine, and Engines are all that are open.
	Engine    EngineStatus   `json:"engine"`
	Engines   []EngineStatus `json:"engines"`
	Sandboxes []Sandbox      `json:"sandboxes"`
}

// NameOf is the name by which people address a sandbox of the list: NAME where that
// is unique in it, else ENGINE/NAME.
func (l SandboxList) NameOf(ref Ref) string {
	for i := range l.Sandboxes {
		if other := l.Sandboxes[i].Ref; other.Engine != "" && ref.Engine != "" && other.Name == ref.Name && other != ref {
			return ref.Long()
		}
	}
	return ref.String()
}

// PortList is the document of GET /api/sandboxes/{name}/ports.
type PortList struct {
	Sandbox string `json:"sandbox"`
	// Ports have only port, address and daemon unless they were identified.
	Ports []PortCard `json:"ports"`
}

// NewPortList lists cards; the list names their sandbox once.
func NewPortList(ref Ref, cards []PortCard) PortList {
	list := PortList{Sandbox: ref.String(), Ports: append([]PortCard{}, cards...)}
	for i := range list.Ports {
		list.Ports[i].Sandbox = Ref{}
	}
	return list
}

// ExchangeList is the document of GET /api/requests, newest first.
type ExchangeList struct {
	Requests []Exchange `json:"requests"`
}

// EngineList is the document of GET /api/engines.
type EngineList struct {
	// Engines are those that are open and those that can be opened.
	Engines []EngineChoice `json:"engines"`
}

// EngineStates is the document of GET /api/engines/open, the primary engine first.
type EngineStates struct {
	Engines []EngineStatus `json:"engines"`
}

// EngineName is the body of PUT /api/engine.
type EngineName struct {
	// Name is one of those that GET /api/engines lists.
	Name string `json:"name"`
}

// Bodies is the document of GET /api/requests/{id}/bodies.
type Bodies struct {
	// Request and Response are what was captured of each, at most 64 KiB, as it passed.
	Request  []byte `json:"request,omitempty"`
	Response []byte `json:"response,omitempty"`
}
