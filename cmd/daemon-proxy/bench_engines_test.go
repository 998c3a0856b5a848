package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"daemon-proxy/core/docker/enginetest"
)

// idleEngines is a core on ten engines with 50 containers each.
func idleEngines(b *testing.B, d *desk) []figure {
	b.Helper()
	const long = 30 * time.Second
	hosts := make([]string, 10)
	for i := range hosts {
		names := make([]string, 50)
		for j := range names {
			names[j] = fmt.Sprintf("worker-%d-%02d", i, j)
		}
		hosts[i] = enginetest.FakeEngine(b, names...)
	}
	c := headless(b, d, "/health", "DOCKER_ENGINES="+strings.Join(hosts, ","))
	time.Sleep(5 * time.Second) // the first look at each
	before := c.cpu()
	time.Sleep(long)
	return []figure{{what: "CPU of the core, idle, ten engines with 50 containers each",
		got: 100 * (c.cpu() - before).Seconds() / long.Seconds(), target: 0.3, format: "%.2f %%"}}
}
