package core

import "context"

// Curl is the request as a command for a shell, secrets as variables.
func (c *Core) Curl(_ context.Context, id uint64) (string, error) { return c.server.Curl(id, c.Base()) }
