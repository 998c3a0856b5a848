package tui

import (
	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/tui/draw"
)

// painted is the model that Bubble Tea runs; it sends its frames to the painter.
type painted struct {
	*model
	painter *draw.Painter
}

// Init implements tea.Model.
func (p painted) Init() tea.Cmd { return p.guarded(p.model.Init()) }

// Update implements tea.Model.
func (p painted) Update(msg tea.Msg) (tea.Model, tea.Cmd) {
	if msg, ok := msg.(panickedMsg); ok {
		panic(msg.value)
	}
	defer p.logPanic("Update")
	if _, ok := msg.(tea.WindowSizeMsg); ok {
		p.painter.Resized()
	}
	_, cmd := p.model.Update(msg)
	return p, p.guarded(cmd)
}

// View implements tea.Model. It returns an empty frame: the painter draws.
func (p painted) View() string {
	defer p.logPanic("View")
	p.painter.Show(draw.Frame{Text: p.model.View(), Width: p.width})
	return ""
}
