package tui

import (
	"context"
	"fmt"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/tui/pane"
	"daemon-proxy/tui/requests"
	"daemon-proxy/tui/text"
)

// replayTime bounds the wait for a replay's answer.
const replayTime = 45 * time.Second

type requestActions struct{ *ui }

func (r *requestActions) copyCurl() tea.Cmd {
	x, ok := r.requests().Exchange()
	if !ok {
		return nil
	}
	backend, clip := r.do.backend, r.options.Copy
	return r.Do(pane.Quick, func(ctx context.Context) tea.Msg {
		command, err := backend.Curl(ctx, x.ID)
		if err != nil {
			return pane.FailMsg{Action: "copy as curl", Err: err}
		}
		return copiedMsg{"copied as curl: " + x.Method + " " + x.Path, clip(command)}
	})
}

func (r *requestActions) replay() tea.Cmd {
	x, ok := r.requests().Exchange()
	if !ok {
		return nil
	}
	backend := r.do.backend
	method := text.Clean(x.Method)
	run := working("sending "+method+" again", r.Do(replayTime, func(ctx context.Context) tea.Msg {
		again, err := backend.Replay(ctx, x.ID)
		return requests.ReplayedMsg{Exchange: again, Err: err}
	}))
	if !requests.Unsafe(x.Method) {
		return run
	}
	return r.ask("Replay "+method+"?", "send again", run, fmt.Sprintf("%s %s goes to port %d of %s again.", method,
		text.Clean(x.Path), x.Port, text.Clean(x.Sandbox)), "This repeats any side effects.")
}
