// Command daemon-proxy puts a preview daemon into containers and gives links
// to whatever listens inside them. This package reads flags and wires the
// core to them; it decides nothing else.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"syscall"

	"github.com/spf13/cobra"

	"daemon-proxy/core/api"
	"daemon-proxy/core/config"
	"daemon-proxy/core/version"
)

// The exit codes of the program.
const (
	exitOK     = 0
	exitFailed = 1 // it could not start, or ended because of a failure
	exitUsage  = 2 // flags, environment or configuration file are wrong
	exitNoCore = 3 // no core runs, and the command needs one
	exitUnwell = 4 // doctor found a hop that fails or loses something
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// run is the whole program less the process: it returns the exit code.
func run(args []string, stdout, stderr io.Writer) int {
	ctx := context.Background()
	if !signal.Ignored(syscall.SIGHUP) { // as nohup leaves it
		// The kernel and the shell may both say that a terminal has gone: the
		// second time is not a request to hurry.
		hangup, stop := signal.NotifyContext(ctx, syscall.SIGHUP)
		defer stop()
		ctx = hangup
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	// The first signal shuts the program down cleanly, the second one ends it at once:
	// after the first the signals have their default effect again.
	context.AfterFunc(ctx, stop)

	root := newRoot(stdout, stderr)
	root.SetArgs(args)
	return report(stderr, root.ExecuteContext(ctx))
}

// usageError is an error in what the person typed.
type usageError struct{ error }

// Unwrap is the error itself.
func (e usageError) Unwrap() error { return e.error }

// report prints err for a person and returns the exit code that belongs to it.
func report(stderr io.Writer, err error) int {
	if err == nil {
		return exitOK
	}
	if problems, ok := errors.AsType[*config.Errors](err); ok {
		fmt.Fprintln(stderr, problems.Error())
		return exitUsage
	}
	if _, ok := errors.AsType[unwellError](err); ok {
		return exitUnwell
	}
	if usage, ok := errors.AsType[usageError](err); ok {
		fmt.Fprintf(stderr, "daemon-proxy: %v\nSee daemon-proxy --help.\n", usage.error)
		return exitUsage
	}
	fmt.Fprintf(stderr, "daemon-proxy: %v\n", err)
	if none, ok := errors.AsType[noCoreError](err); ok {
		fmt.Fprintf(stderr, "  try: %s\n", none.Hint())
		return exitNoCore
	}
	if hint, ok := errors.AsType[hintedError](err); ok {
		fmt.Fprintf(stderr, "  try: %s\n", hint.hint)
		return hint.code
	}
	if hint, ok := errors.AsType[interface {
		error
		Hint() string
	}](err); ok {
		fmt.Fprintf(stderr, "  try: %s\n", hint.Hint())
		return exitFailed
	}
	if problem, ok := errors.AsType[*api.Problem](err); ok && problem.Hint != "" {
		fmt.Fprintf(stderr, "  try: %s\n", problem.Hint)
	}
	return exitFailed
}

func newRoot(stdout, stderr io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:   "daemon-proxy",
		Short: "Open what runs inside containers: a preview daemon, a proxy and preview links",
		Long: "daemon-proxy puts a small HTTP daemon into a Docker container and gives you links to\n" +
			"whatever listens inside it: a VNC desktop, a dev server, a notebook.\n\n" +
			"In a terminal it opens the UI: on the daemon-proxy that runs here, or on that of --server,\n" +
			"which then keeps running; else it starts one, which ends with the UI.",
		Version:       version.String(),
		Args:          noArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return serve(cmd.Context(), cmd.Flags(), stdout, stderr)
		},
	}
	config.BindFlags(root.Flags())
	root.Flags().Bool("no-tui", false, "run only the proxy and preview server, without the terminal UI")
	root.Flags().String("server", "",
		"open the terminal UI on that daemon-proxy: a URL, or ssh://[user@]host[:port] (environment: "+serverEnv+
			"; default: the one running here, else a new one)")
	root.Flags().Bool("standalone", false,
		"start a new core even if one is running here, with the next free port and its own links")
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.SetVersionTemplate("daemon-proxy {{.Version}}\n")
	root.AddCommand(newToolbox(), newDemo(stderr), newDemoPage(), newVersion(), newConfig())
	root.AddCommand(newSandboxes(), newEngines(), newInject(), newStop(), newEject(), newPorts(), newPreview(),
		newRequests(), newStatus(), newDoctor(), newLogs(), newBridge())
	root.SetOut(stdout)
	root.SetErr(stderr)
	root.InitDefaultCompletionCmd() // it keeps what it writes to
	for _, cmd := range root.Commands() {
		if cmd.Name() == "completion" {
			cmd.Args = noArgs
			cmd.RunE = func(*cobra.Command, []string) error {
				return usageError{errors.New("a shell is missing: bash, zsh, fish or powershell")}
			}
		}
	}
	return root
}

// noArgs is cobra.NoArgs with an error that counts as wrong usage.
func noArgs(cmd *cobra.Command, args []string) error {
	if err := cobra.NoArgs(cmd, args); err != nil {
		return usageError{err}
	}
	return nil
}

func newVersion() *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "version", Short: "Print the version", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if asJSON {
				r := remote{out: cmd.OutOrStdout()}
				return r.document(map[string]string{"version": version.String(), "go": runtime.Version(),
					"platform": runtime.GOOS + "/" + runtime.GOARCH})
			}
			_, err := fmt.Fprintln(cmd.OutOrStdout(), version.String())
			return err
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}
