// Command toolbox is the small program that runs inside sandboxes: the built-in
// daemon, the bridge and the page of the demo sandbox. daemon-proxy contains it in
// a build for each platform of containers (core/inside), copies it into them as
// daemon-proxy, and starts it as it would start itself.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"syscall"

	"daemon-proxy/core/demo"
	"daemon-proxy/core/toolbox"
	"daemon-proxy/core/version"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "daemon-proxy:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	switch {
	case slices.Equal(args, []string{demo.Command}):
		return demo.Serve(ctx)
	case slices.Equal(args, []string{toolbox.CommandName, toolbox.BridgeCommand}):
		return toolbox.RunBridge(ctx)
	case slices.Equal(args, []string{toolbox.CommandName, toolbox.EchoCommand}):
		return toolbox.RunEcho(ctx)
	case len(args) > 0 && args[0] == toolbox.CommandName:
		return daemon(ctx, args[1:])
	}
	return fmt.Errorf("this is the part of daemon-proxy %s that it starts inside containers; "+
		"it is not meant to be started by hand", version.String())
}

func daemon(ctx context.Context, args []string) error {
	var command toolbox.Command
	flags := flag.NewFlagSet(toolbox.CommandName, flag.ContinueOnError)
	command.Bind(flags)
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	return command.Run(ctx, version.String())
}
