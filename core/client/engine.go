package client

import (
	"context"
	"net/http"

	"daemon-proxy/core/api"
)

// Status describes the core.
func (c *Client) Status(ctx context.Context) (api.Status, error) {
	return get[api.Status](ctx, c, "/api/status")
}

// Engine is the state of the engine.
func (c *Client) Engine(ctx context.Context) (api.EngineStatus, error) {
	return get[api.EngineStatus](ctx, c, "/api/engine")
}

// Engines are those that can be switched to.
func (c *Client) Engines(ctx context.Context) ([]api.EngineChoice, error) {
	list, err := get[api.EngineList](ctx, c, "/api/engines")
	return list.Engines, err
}

// SwitchEngine leaves the engine for another. It does not wait for that to answer.
func (c *Client) SwitchEngine(ctx context.Context, name string) error {
	_, err := call[api.EngineStatus](ctx, c, http.MethodPut, "/api/engine", api.EngineName{Name: name})
	return err
}

// RetryEngine makes the server look for the engine now.
func (c *Client) RetryEngine(ctx context.Context) error {
	_, err := call[api.EngineStatus](ctx, c, http.MethodPost, "/api/engine/retry", nil)
	return err
}

// Demo starts the demo sandbox and returns its link. The end of ctx undoes an
// injection that is in progress.
func (c *Client) Demo(ctx context.Context) (api.Link, error) {
	return call[api.Link](ctx, c, http.MethodPost, "/api/demo", nil)
}
