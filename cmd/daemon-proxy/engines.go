package main

import (
	"context"

	"github.com/spf13/cobra"

	"daemon-proxy/core/api"
	"daemon-proxy/core/logging"
)

func newEngines() *cobra.Command {
	cmd := clientCommand("engines", "List the engines; open and close them", ownNone,
		func(ctx context.Context, r *remote, _ []string) error { return r.listEngines(ctx) })
	cmd.Long = "engines lists the engines that are open, and those that can be opened: docker contexts, Podman\nconnections " +
		"and the sockets that are found. What is open is opened again by the next start with\nthe same configuration.\n\n" +
		exitCodes
	cmd.AddCommand(
		changeEngine("open ENGINE", "Open an engine beside the others", (*remote).OpenEngine),
		changeEngine("close ENGINE", "Close an engine; its links work again once it is opened again", (*remote).CloseEngine))
	return cmd
}

func changeEngine(use, short string, change func(*remote, context.Context, string) error) *cobra.Command {
	cmd := clientCommand(use, short, ownNone, func(ctx context.Context, r *remote, args []string) error {
		if err := change(r, ctx, args[0]); err != nil {
			return err
		}
		return r.listEngines(ctx)
	})
	cmd.Args, cmd.ValidArgsFunction = exactlyOne, first(offers(offeredEngines))
	return cmd
}

// listEngines prints the engines with the states of those that are open.
func (r *remote) listEngines(ctx context.Context) error {
	choices, err := r.Engines(ctx)
	if err != nil {
		return err
	}
	states, err := r.EngineStates(ctx)
	if err != nil {
		return err
	}
	if r.json {
		return r.document(map[string]any{"engines": choices, "open": states})
	}
	open := map[string]api.EngineStatus{}
	for _, s := range states {
		open[s.Name] = s
	}
	rows := [][]string{{"NAME", "STATE", "VERSION", "ENDPOINT"}}
	for _, c := range choices {
		rows = append(rows, []string{c.Name, orDash(open[c.Name].State), orDash(open[c.Name].Version), c.Endpoint})
	}
	return r.table(rows...)
}

func offeredEngines(ctx context.Context, r *remote) []cobra.Completion {
	choices, _ := r.Engines(ctx) // without it there is nothing to offer
	var names []cobra.Completion
	for _, c := range choices {
		names = append(names, cobra.CompletionWithDesc(logging.Printable(c.Name), logging.Printable(c.Endpoint)))
	}
	return names
}
