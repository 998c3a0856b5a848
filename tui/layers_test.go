package tui

import (
	"testing"

	"daemon-proxy/core/layertest"
)

// layers are the files of this package, from the lowest: none refers to what a
// later line declares, be it a name, a field or a method.
const layers = `
	options keymap
	commands notes overlay help doctor outage
	stage
	ui
	header engines port_news quit follow
	dispatch request_actions
	sandbox_desktop link_share link_actions
	sandbox_actions
	model
	input
	actions update view
	uistate painted
	tui
`

func TestNoFileRefersToALayerAboveIt(t *testing.T) {
	t.Parallel()
	layertest.Run(t, layers)
}
