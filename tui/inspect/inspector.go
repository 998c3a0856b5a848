// Package inspect shows one exchange in full: times, headers, the captured
// beginning of the bodies, frames.
package inspect

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/draw"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/pane"
	"daemon-proxy/tui/save"
)

// Inspector shows one exchange in full. It fills the screen between header and
// footer. Its layout is computed only when its content or width changes.
type Inspector struct {
	scroller
	backend Backend
	ID      uint64
	failed  error
	asking  bool // for the details
	again   bool // ask again after the answer
}

// Msg brings the details of an exchange.
type Msg struct {
	id   uint64
	seen *details
	err  error
}

// Backend is what the inspector needs from a core.
type Backend interface {
	Exchange(ctx context.Context, id uint64) (api.ExchangeDetail, error)
	Bodies(ctx context.Context, id uint64) (request, response []byte, err error)
}

// New returns an empty inspector; Next makes one for an exchange.
func New(env pane.Env, backend Backend) *Inspector {
	return &Inspector{scroller: scroller{sheet: sheet{Env: env}, find: draw.NewFilterLine()}, backend: backend}
}

// Next returns the inspector of another exchange, with the same search and the
// same sections folded.
func (in *Inspector) Next(x api.Exchange) *Inspector {
	next := New(in.Env, in.backend)
	next.ID, next.first, next.find = x.ID, x, in.find
	next.At, next.folded, next.wrapped = in.At, in.folded, in.wrapped
	return next
}

// Ask requests the details; the command also makes the bodies readable.
func (in *Inspector) Ask() tea.Cmd {
	in.asking, in.again = true, false
	id, backend := in.ID, in.backend
	return in.Do(pane.Quick, func(ctx context.Context) tea.Msg {
		d, err := backend.Exchange(ctx, id)
		if err != nil {
			return Msg{id: id, err: err}
		}
		return Msg{id: id, seen: inspect(d)}
	})
}

// Refresh requests the details again, once the pending answer has arrived.
func (in *Inspector) Refresh() tea.Cmd {
	if in.asking {
		in.again = true
		return nil
	}
	return in.Ask()
}

// HandleMsg takes the details, unless they are of another exchange.
func (in *Inspector) HandleMsg(msg Msg) tea.Cmd {
	if in.ID != msg.id {
		return nil
	}
	in.asking, in.failed = false, msg.err
	if msg.err == nil {
		was, below := in.frameAtTop()
		in.seen = msg.seen
		in.layOut()
		if len(in.frames) > 0 && !was.IsZero() { // keep the visible frames in place when older ones are dropped
			now := slices.IndexFunc(msg.seen.detail.Frames, func(f api.Frame) bool { return !f.Time.Before(was) })
			in.top = in.frames[max(0, now)] + below
			in.scroll(0)
		}
	}
	if in.again {
		return in.Ask()
	}
	return nil
}

// SaveBodies writes the captured bodies to new files, as they were transferred.
func (in *Inspector) SaveBodies(dir string) tea.Cmd {
	if in.seen == nil {
		return nil
	}
	d, at, backend := in.seen.detail, in.Now().Format(save.TimeFormat), in.backend
	return in.Do(pane.Quick, func(ctx context.Context) tea.Msg {
		request, response, err := backend.Bodies(ctx, d.ID)
		if err != nil {
			return pane.FailMsg{Action: "save the bodies", Err: err}
		}
		var saved []string
		for i, body := range [][]byte{request, response} {
			if len(body) == 0 {
				continue
			}
			name, header, whole := "request", d.RequestHeader, d.BytesIn
			if i == 1 {
				name, header, whole = "response", d.ResponseHeader, d.BytesOut
			}
			file, err := save.New(dir, fmt.Sprintf("daemon-proxy-%s-%d-%s%s", at, d.ID, name, fileEnding(header)), body)
			if err != nil {
				return pane.FailMsg{Action: "save the bodies", Err: err}
			}
			if len(saved) > 0 {
				file = filepath.Base(file)
			}
			if int64(len(body)) < whole {
				file += " (its first " + format.Size(int64(len(body))) + ")"
			}
			saved = append(saved, file)
		}
		if saved == nil {
			return pane.SayMsg("there is no body to save: empty, not captured, or discarded for later requests")
		}
		return pane.SayMsg("saved in " + strings.Join(saved, " and "))
	})
}
