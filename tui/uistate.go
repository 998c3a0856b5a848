package tui

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"

	"daemon-proxy/core/api"
	"daemon-proxy/tui/requests"
)

type uiState struct {
	Sandbox api.Ref `json:"sandbox"`
	Filter  string  `json:"filter,omitempty"`
	Tab     int     `json:"tab,omitempty"`
	// Requests is the filter of the requests.
	Requests requests.State `json:"requests,omitzero"`
}

// loadUIState reads the file; if it is missing or damaged, the state is empty.
func loadUIState(file string) uiState {
	var s uiState
	raw, err := os.ReadFile(file) //nolint:gosec // a file of ours in the state directory
	if err != nil || json.Unmarshal(raw, &s) != nil {
		return uiState{}
	}
	s.Sandbox.Engine = api.EngineID(s.Sandbox.Engine) // an older version stored the address
	return s
}

func (m *model) saveUIState() error {
	if m.options.StateFile == "" {
		return nil
	}
	ref, filter := m.list.Saved()
	raw, err := json.Marshal(uiState{Sandbox: ref, Filter: filter, Tab: m.tab, Requests: m.requests().State()})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(m.options.StateFile), 0o700); err != nil {
		return err
	}
	next := m.options.StateFile + ".new"
	if err := os.WriteFile(next, raw, 0o600); err != nil {
		return err
	}
	if err := os.Rename(next, m.options.StateFile); err != nil {
		return errors.Join(err, os.Remove(next))
	}
	return nil
}
