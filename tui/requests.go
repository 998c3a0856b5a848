package tui

import (
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
)

// requests is the second tab: the exchanges that went through.
type requests struct {
	look  *look
	world *world
	do    commands
	now   func() time.Time

	width, height int
	ref           api.Ref
}

func newRequests(l *look, w *world, do commands, now func() time.Time) *requests {
	return &requests{look: l, world: w, do: do, now: now}
}

func requestActions() []action { return nil }

func (p *requests) SetSize(width, height int) { p.width, p.height = width, height }

func (p *requests) Show(ref api.Ref, _ bool) tea.Cmd {
	p.ref = ref
	return nil
}

func (p *requests) HandleMsg(tea.Msg) tea.Cmd    { return nil }
func (p *requests) Typing() bool                 { return false }
func (p *requests) HandleKey(tea.KeyMsg) tea.Cmd { return nil }
func (p *requests) Move(motion) tea.Cmd          { return nil }
func (p *requests) Click(int, int) tea.Cmd       { return nil }
func (p *requests) Foot() string                 { return "" }

func (p *requests) View(bool) []string { return nil }
