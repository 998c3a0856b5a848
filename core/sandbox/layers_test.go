package sandbox

import (
	"testing"

	"daemon-proxy/core/layertest"
)

// layers are the files of this package, from the lowest: none refers to what a
// later line declares, be it a name, a field or a method.
const layers = `
	options upstream problems secret state helped served injection detach_unix detach_other
	containers locate host
	shell box
	bridge helper
	update
	network
	facts proof
	route
	build health
	stop injector
	injector_host
	inject
	monitor
	mode
	engine
	sandbox
	daemons selftest log
`

func TestNoFileRefersToALayerAboveIt(t *testing.T) {
	t.Parallel()
	layertest.Run(t, layers)
}
