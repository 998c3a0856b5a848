package api

// Finding is what a diagnosis found at one hop of the way to a sandbox.
type Finding struct {
	// Hop is "core", "state", "server", "engine", "container", "carrier", "daemon",
	// "port" or "front"; empty in the last one, which is about all of them.
	Hop string `json:"hop,omitempty"`
	// State is one of the Found… states.
	State string `json:"state"`
	// Detail describes the hop or what is wrong with it.
	Detail string `json:"detail"`
	// Lost names what the hop does not pass on unchanged.
	Lost []string `json:"lost,omitempty"`
	// DurationMS is how long the check of the hop took.
	DurationMS float64 `json:"duration_ms"`
	// Hint is the next thing to try.
	Hint string `json:"hint,omitempty"`
	// Finished is set in the last finding.
	Finished bool `json:"finished,omitempty"`
}

// The states of a Finding.
const (
	FoundOK      = "ok"
	FoundLoss    = "loss"    // it works, but something is lost or of another build
	FoundFailed  = "failed"  // nothing behind it was checked
	FoundSkipped = "skipped" // it does not apply here
)

// Well reports whether there is nothing to do about it.
func (f Finding) Well() bool { return f.State == FoundOK || f.State == FoundSkipped }
