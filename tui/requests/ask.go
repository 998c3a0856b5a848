package requests

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	tea "github.com/charmbracelet/bubbletea"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/format"
	"daemon-proxy/tui/inspect"
	"daemon-proxy/tui/pane"
	"daemon-proxy/tui/save"
)

const (
	pageSize     = 200                    // how many of a filter's newest exchanges are requested
	pageInterval = 250 * time.Millisecond // between two such requests
	pollInterval = time.Second            // between two requests of live exchanges
)

// What an exchangesMsg contains.
const (
	askedAll    = iota // the whole list of a sandbox
	askedFilter        // all of it that match a filter
	askedPage          // the newest that match
	askedLive          // those in progress
)

type (
	// exchangesMsg is a part of the request log. Its number identifies the list or
	// filter that it answers.
	exchangesMsg struct {
		what, number int
		list         []api.Exchange
		err          error
	}
	// pageDueMsg requests the newest page of the filter of that number.
	pageDueMsg int
	// pollMsg requests the live exchanges.
	pollMsg struct{}
)

// pageState is the state of the requests for a filter's newest page.
type pageState struct {
	due  bool // a request is scheduled or running
	more bool // something changed since it began
}

// Backend is what the requests need from a core.
type Backend interface {
	Exchanges(ctx context.Context, filter string, n int) ([]api.Exchange, error)
	HAR(ctx context.Context, filter string) ([]byte, error)
	inspect.Backend
}

// asker requests the exchanges of the list, and those that match its filter.
type asker struct {
	pane.Env
	backend    Backend
	Dir        string // where files are saved; empty: the current directory
	ref        api.Ref
	Everywhere bool   // all sandboxes instead of ref
	query      string // the requested filter
	wrong      error  // what is wrong with it
	scope      int    // number of the list; answers for earlier ones are dropped
	asked      int    // number of the filter, likewise
	pages      pageState
}

// flow is the transfer rate of a live exchange.
type flow struct {
	bytes int64
	at    time.Time
	rate  float64 // bytes a second; negative: unknown
}

// scoped returns a filter restricted to the list.
func (a *asker) scoped(words string) string {
	if a.Everywhere {
		return words
	}
	if words != "" {
		words = " " + words
	}
	return "sandbox:" + a.ref.Long() + words
}

func (a *asker) ask(what, number int, words string, n int) tea.Cmd {
	backend, query := a.backend, a.scoped(words)
	return a.Do(pane.Quick, func(ctx context.Context) tea.Msg {
		list, err := backend.Exchanges(ctx, query, n)
		return exchangesMsg{what, number, list, err}
	})
}

func (a *asker) askFilter() tea.Cmd {
	if a.query == "" {
		return nil
	}
	return a.ask(askedFilter, a.asked, a.query, 0)
}

// pageSoon schedules a request of the newest page, one in pageInterval at most.
func (a *asker) pageSoon() tea.Cmd {
	if a.query == "" || a.wrong != nil {
		return nil
	}
	if a.pages.due {
		a.pages.more = true
		return nil
	}
	a.pages = pageState{due: true}
	number := a.asked
	return tea.Tick(pageInterval, func(time.Time) tea.Msg { return pageDueMsg(number) })
}

func (a *asker) askPage() tea.Cmd {
	a.pages.more = false
	return a.ask(askedPage, a.asked, a.query, pageSize)
}

type flows map[uint64]flow

func (f flows) next(live []api.Exchange, now time.Time) flows {
	next := make(flows, len(live))
	for _, x := range live {
		n := flow{bytes: x.BytesIn + x.BytesOut, at: now, rate: -1}
		if before, ok := f[x.ID]; ok {
			n.rate = before.rate
			if took := now.Sub(before.at).Seconds(); took > 0 {
				n.rate = float64(n.bytes-before.bytes) / took
			}
		}
		next[x.ID] = n
	}
	return next
}

// SaveHAR writes the exchanges that match the filter to a new file.
func (a *asker) SaveHAR() tea.Cmd {
	backend, query, dir := a.backend, a.scoped(a.query), a.Dir
	name := "daemon-proxy-" + a.Now().Format(save.TimeFormat) + ".har"
	return a.Do(pane.Quick, func(ctx context.Context) tea.Msg {
		har, err := backend.HAR(ctx, query)
		if err != nil {
			return pane.FailMsg{Action: "save the requests", Err: err}
		}
		var archive struct{ Log struct{ Entries []struct{} } }
		if err := json.Unmarshal(har, &archive); err != nil {
			return pane.FailMsg{Action: "save the requests", Err: fmt.Errorf("the archive cannot be read: %w", err)}
		}
		n := len(archive.Log.Entries)
		if n == 0 {
			return pane.SayMsg("nothing to save: the list has no request that has ended")
		}
		file, err := save.New(dir, name, har)
		if err != nil {
			return pane.FailMsg{Action: "save the requests", Err: err}
		}
		size := format.Size(int64(len(har)))
		return pane.SayMsg(fmt.Sprintf("saved %s (%s) in %s", format.Count(n, "request"), size, file))
	})
}
