// Package enginetest is support for tests that need a real Docker engine:
// images made from static binaries (no registry is used), and containers and
// networks with unique names, all removed when the test ends.
//
// Everything it makes has the label Label and a name that begins with
// "dp-test-", so that the leftovers of a killed test can be found:
//
//	docker ps -aq --filter label=daemon-proxy.test
package enginetest

import (
	"context"
	"crypto/rand"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/docker/docker/client"

	"daemon-proxy/core/docker"
)

// Label marks the containers, images and networks of tests.
const Label = "daemon-proxy.test"

// callTimeout bounds each call to the engine; the machine may be busy.
const callTimeout = time.Minute

// Require returns the engine that the docker CLI would use. If none answers, the
// test is skipped with the reason, or fails with CI=true.
func Require(t testing.TB) *docker.Engine {
	t.Helper()
	e, err := docker.Open(docker.Options{})
	if err != nil {
		unavailable(t, err.Error())
	}
	t.Cleanup(func() { _ = e.Close() }) // has nothing to report
	if _, err := e.Ping(t.Context()); err != nil {
		unavailable(t, err.Error())
	}
	return e
}

// unavailable skips the test, or fails it with CI=true.
func unavailable(t testing.TB, reason string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("needed with CI=true: %s", reason)
	}
	t.Skip(reason)
}

// dockerClient returns a client for calls that core/docker does not have.
func dockerClient(t testing.TB) *client.Client {
	t.Helper()
	e, err := docker.Open(docker.Options{})
	if err != nil {
		unavailable(t, err.Error())
	}
	t.Cleanup(func() { _ = e.Close() }) // has nothing to report
	cli, err := client.NewClientWithOpts(
		client.WithTLSClientConfigFromEnv(), client.WithHost(e.Endpoint()), client.WithAPIVersionNegotiation())
	if err != nil {
		unavailable(t, err.Error())
	}
	t.Cleanup(func() { _ = cli.Close() })                                        // never fails
	if _, err := cli.Ping(t.Context()); err != nil && t.Context().Err() == nil { // it may be a clean-up
		unavailable(t, err.Error())
	}
	return cli
}

// call returns a context for one call to the engine. It can also be used in
// clean-ups, when t.Context() has ended.
func call(t testing.TB) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(t.Context()), callTimeout)
}

var notInNames = regexp.MustCompile(`[^a-z0-9]+`)

// Name returns a new name for an object of this test: "dp-test-<test>-<random>".
func Name(t testing.TB) string {
	test := strings.Trim(notInNames.ReplaceAllString(strings.ToLower(t.Name()), "-"), "-")
	return "dp-test-" + test[:min(len(test), 30)] + "-" + strings.ToLower(rand.Text()[:8])
}
