package main

import (
	"cmp"
	"context"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"daemon-proxy/core/bridge"
	"daemon-proxy/core/config"
	"daemon-proxy/core/logging"
)

// completesWithin is how long a person who pressed tab waits.
const completesWithin = time.Second

// offers are the completions that a core which runs knows; where none runs
// there are none.
func offers(of func(ctx context.Context, r *remote) []cobra.Completion) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		cfg, err := config.Load(config.Options{Flags: cmd.Flags()})
		if err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		ctx, stop := context.WithTimeout(cmd.Context(), completesWithin)
		defer stop()
		server, _ := cmd.Flags().GetString("server")
		server = cmp.Or(server, os.Getenv(serverEnv))
		r := &remote{config: cfg, stderr: io.Discard}
		if strings.HasPrefix(server, bridge.Scheme) { // ssh may prompt
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		if _, err := r.connect(ctx, server, ownNone, ""); err != nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return of(ctx, r), cobra.ShellCompDirectiveNoFileComp
	}
}

// first completes the first argument alone.
func first(complete cobra.CompletionFunc) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return complete(cmd, args, begun)
	}
}

func offeredSandboxes(ctx context.Context, r *remote) []cobra.Completion {
	list, _ := r.SandboxList(ctx) // without it there is nothing to offer
	var names []cobra.Completion
	for _, s := range list.Sandboxes {
		names = append(names,
			cobra.CompletionWithDesc(logging.Printable(list.NameOf(s.Ref)), s.Container+", daemon "+string(s.Daemon.State)))
	}
	return names
}

func offeredLinks(ctx context.Context, r *remote) []cobra.Completion {
	links, _ := r.Links(ctx) // as above
	var ids []cobra.Completion
	for _, l := range links {
		if l.State == "active" {
			ids = append(ids,
				cobra.CompletionWithDesc(l.ID, logging.Printable(l.SandboxName+":"+strconv.Itoa(l.Port)+" "+l.Label)))
		}
	}
	return ids
}
