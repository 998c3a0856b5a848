package toolbox

import (
	"context"
	"log/slog"
	"os"

	"daemon-proxy/core/carrier"
	"daemon-proxy/core/daemon"
	"daemon-proxy/core/echo"
	"daemon-proxy/core/mux"
)

// What follows the name of the program that is inside a sandbox. The program on
// the desk has the same commands, since it is that program too if it was built
// without the small one (see core/inside).
const (
	CommandName   = "toolbox" // the daemon; its flags are those of Command
	BridgeCommand = "bridge"  // after CommandName: the bridge
	EchoCommand   = "echo"    // after CommandName: the self-test page
)

// Command is the command line of the daemon.
type Command struct {
	options Options
	stop    bool
}

// Flags is a set of flags, of package flag or of pflag.
type Flags interface {
	StringVar(value *string, name, initial, usage string)
	BoolVar(value *bool, name string, initial bool, usage string)
}

// Bind defines the flags.
func (c *Command) Bind(f Flags) {
	f.StringVar(&c.options.Addr, "addr", ":2280", "address to listen on")
	f.StringVar(&c.options.LogFile, "log-file", "", "log file; empty: standard output")
	f.BoolVar(&c.stop, "stop", false, "stop the other daemons that run from this file, and exit")
}

// Run does what the flags say: it serves until ctx ends, or stops other daemons.
// The secret is taken from the environment. Version is what /version reports.
func (c *Command) Run(ctx context.Context, version string) error {
	if c.stop {
		return StopOthers(ctx)
	}
	o := c.options
	o.Version, o.Secret, o.Logger = version, os.Getenv(daemon.SecretEnv), slog.Default()
	if err := os.Unsetenv(daemon.SecretEnv); err != nil {
		return err
	}
	return Serve(ctx, o)
}

// RunBridge is the bridge, on the standard input and output.
func RunBridge(ctx context.Context) error {
	EndStopped()
	in, out := mux.Standard()
	return carrier.Serve(ctx, in, out)
}

// RunEcho serves the self-test page until the standard input ends.
func RunEcho(ctx context.Context) error { return echo.Serve(ctx, os.Stdin, os.Stdout) }
