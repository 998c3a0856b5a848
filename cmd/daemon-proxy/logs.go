package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"daemon-proxy/core/api"
	"daemon-proxy/core/logging"
)

func newLogs() *cobra.Command {
	var source string
	var tail int
	var follow bool
	cmd := clientCommand("logs [SANDBOX]", "Print the log of a daemon, of a container, or of daemon-proxy", ownContainers, func(ctx context.Context, r *remote, args []string) error {
		name, err := r.sandbox(ctx, args)
		if source == api.LogProgram && err != nil {
			name, err = api.HostName, nil // it is no sandbox's
		}
		if err != nil {
			return err
		}
		log, err := r.Logs(ctx, name, source, tail, follow)
		if err != nil {
			return err
		}
		defer log.Close()
		lines := bufio.NewScanner(log)
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			if r.json {
				err = r.line(map[string]string{"line": lines.Text()})
			} else {
				_, err = fmt.Fprintln(r.out, logging.Printable(lines.Text()))
			}
			if err != nil {
				return err
			}
		}
		if err := lines.Err(); err != nil && !errors.Is(err, context.Canceled) {
			return err
		}
		return nil
	})
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if !slices.Contains([]string{api.LogDaemon, api.LogContainer, api.LogProgram}, source) {
			return usageError{fmt.Errorf("--source %q: want daemon, container or program", source)}
		}
		return atMostOne(cmd, args)
	}
	cmd.ValidArgsFunction = first(offers(offeredSandboxes))
	cmd.Flags().StringVar(&source, "source", api.LogDaemon, "daemon, container or program")
	_ = cmd.RegisterFlagCompletionFunc("source", cobra.FixedCompletions([]cobra.Completion{api.LogDaemon, api.LogContainer, api.LogProgram}, cobra.ShellCompDirectiveNoFileComp))
	cmd.Flags().IntVar(&tail, "tail", 100, "how many of the last lines; -1: all")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on with what comes")
	return cmd
}
