package client

import (
	"context"
	"net/http"
	"net/url"

	"daemon-proxy/core/api"
)

// Status describes the core.
func (c *Client) Status(ctx context.Context) (api.Status, error) {
	return get[api.Status](ctx, c, "/api/status")
}

// Demo starts the demo sandbox and returns its link. The end of ctx undoes an
// injection that is in progress.
func (c *Client) Demo(ctx context.Context) (api.Link, error) {
	return call[api.Link](ctx, c, http.MethodPost, "/api/demo", nil)
}

// engines are the engines of a core.
type engines struct{ *wire }

// Engine is the state of the primary engine.
func (e engines) Engine(ctx context.Context) (api.EngineStatus, error) {
	return get[api.EngineStatus](ctx, e, "/api/engine")
}

// EngineStates are the states of the engines that are open, the primary one first.
func (e engines) EngineStates(ctx context.Context) ([]api.EngineStatus, error) {
	list, err := get[api.EngineStates](ctx, e, "/api/engines/open")
	return list.Engines, err
}

// Engines are those that are open and those that can be opened.
func (e engines) Engines(ctx context.Context) ([]api.EngineChoice, error) {
	list, err := get[api.EngineList](ctx, e, "/api/engines")
	return list.Engines, err
}

// OpenEngine opens an engine beside the others. It does not wait for it to answer.
func (e engines) OpenEngine(ctx context.Context, name string) error {
	_, err := call[api.EngineStates](ctx, e, http.MethodPut, "/api/engines/"+url.PathEscape(name), nil)
	return err
}

// CloseEngine closes an engine; it is a problem if no other is open.
func (e engines) CloseEngine(ctx context.Context, name string) error {
	_, err := call[api.EngineStates](ctx, e, http.MethodDelete, "/api/engines/"+url.PathEscape(name), nil)
	return err
}

// SwitchEngine opens an engine and closes all others. It does not wait for it to
// answer.
func (e engines) SwitchEngine(ctx context.Context, name string) error {
	_, err := call[api.EngineStatus](ctx, e, http.MethodPut, "/api/engine", api.EngineName{Name: name})
	return err
}

// RetryEngine makes the server look for the engines now.
func (e engines) RetryEngine(ctx context.Context) error {
	_, err := call[api.EngineStatus](ctx, e, http.MethodPost, "/api/engine/retry", nil)
	return err
}
