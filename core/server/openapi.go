package server

import (
	_ "embed"
)

// openAPI is made from the table of routes and the types of core/api by
// go test ./core/server -run OpenAPI -update; a test holds it to them.
//
//go:embed openapi.json
var openAPI []byte

// OpenAPI is the OpenAPI 3.1 document of the API.
func OpenAPI() []byte { return openAPI }

func (m management) serveOpenAPI(v *visit, _ values) error {
	h := v.w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	_, _ = v.w.Write(openAPI) // a client that has gone needs none
	return nil
}
