package api

// BridgeHeader is sent by a front on another machine that reaches the core by
// a bridge: what the request is for (BridgeCalls or BridgePreviews), a space, and
// the core's key of this run. The core then takes http and the request's Host
// for the address at which that machine's browsers have it. It is never
// forwarded.
const BridgeHeader = "X-Daemon-Proxy-Bridge"

// What a bridge carries.
const (
	BridgeCalls    = "calls"    // calls of the API by the front itself
	BridgePreviews = "previews" // previews and nothing else
)
