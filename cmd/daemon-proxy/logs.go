package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"daemon-proxy/core/api"
	"daemon-proxy/core/logging"
)

func newLogs() *cobra.Command {
	var source string
	var tail int
	var follow bool
	cmd := clientCommand("logs [SANDBOX]", "Print the log of a daemon, of a container, or of daemon-proxy",
		ownContainers, func(ctx context.Context, r *remote, args []string) error {
			ref, err := r.sandbox(ctx, args)
			if source == api.LogProgram && err != nil {
				ref, err = api.Host, nil // it belongs to no sandbox
			}
			if err != nil {
				return err
			}
			log, err := r.Logs(ctx, ref, source, tail, follow)
			if err != nil {
				return err
			}
			defer log.Close()
			lines := bufio.NewReaderSize(log, longestLine)
			for {
				line, err := readLine(lines)
				if line != "" || err == nil {
					if err := r.logLine(line); err != nil {
						return err
					}
				}
				if errors.Is(err, io.EOF) || errors.Is(err, context.Canceled) {
					return nil
				}
				if err != nil {
					return err
				}
			}
		})
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		if !slices.Contains([]string{api.LogDaemon, api.LogContainer, api.LogProgram}, source) {
			return usageError{fmt.Errorf("--source %q: want daemon, container or program", source)}
		}
		return atMostOne(cmd, args)
	}
	cmd.ValidArgsFunction = first(offers(offeredSandboxes))
	cmd.Flags().StringVar(&source, "source", api.LogDaemon, "daemon, container or program")
	_ = cmd.RegisterFlagCompletionFunc("source", cobra.FixedCompletions([]cobra.Completion{api.LogDaemon,
		api.LogContainer, api.LogProgram}, cobra.ShellCompDirectiveNoFileComp))
	cmd.Flags().IntVar(&tail, "tail", 100, "number of lines to print from the end; -1: all")
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "keep printing new lines")
	return cmd
}

// longestLine is how many bytes of a line are printed.
const longestLine = 1 << 20

// readLine returns the next line without its end. Of one that is longer than
// longestLine it returns the beginning, and how much was cut.
func readLine(r *bufio.Reader) (string, error) {
	piece, err := r.ReadSlice('\n')
	line := strings.TrimRight(string(piece), "\r\n")
	cut := 0
	for errors.Is(err, bufio.ErrBufferFull) {
		piece, err = r.ReadSlice('\n')
		cut += len(piece)
	}
	if cut > 0 {
		line += fmt.Sprintf("… (%d bytes cut)", cut)
	}
	return line, err
}

// logLine prints one line of a log.
func (r *remote) logLine(line string) error {
	if r.json {
		return r.line(map[string]string{"line": line})
	}
	_, err := fmt.Fprintln(r.out, logging.Printable(line))
	return err
}
