package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"daemon-proxy/core/api"
	"daemon-proxy/core/logging"
)

func newSandboxes() *cobra.Command {
	return clientCommand("sandboxes", "List the containers and their daemons", ownContainers,
		func(ctx context.Context, r *remote, _ []string) error {
			list, err := r.SandboxList(ctx)
			if err != nil {
				return err
			}
			if r.json {
				return r.document(list)
			}
			rows := [][]string{{"NAME", "CONTAINER", "DAEMON", "VERSION", "PLATFORM", "IMAGE"}}
			for _, s := range list.Sandboxes {
				rows = append(rows, []string{
					list.NameOf(s.Ref), s.Container, string(s.Daemon.State), s.Daemon.Version, s.Platform, s.Image})
			}
			if len(list.Engines) > 1 {
				rows[0] = append(rows[0], "ENGINE")
				for i, s := range list.Sandboxes {
					rows[i+1] = append(rows[i+1], orDash(s.Engine))
				}
			}
			return r.table(rows...)
		})
}

func newInject() *cobra.Command {
	var cancel bool
	cmd := clientCommand("inject [SANDBOX]", "Put a daemon into a container and wait until it is healthy",
		ownContainers, func(ctx context.Context, r *remote, args []string) error {
			ref, err := r.sandbox(ctx, args)
			if err != nil {
				return err
			}
			if cancel {
				return r.CancelInjection(ctx, ref)
			}
			return r.Inject(ctx, ref, func(step api.Injection) {
				if r.json {
					_ = r.line(step)
				} else if line := stepLine(ref.Long(), step); line != "" {
					fmt.Fprintln(r.out, logging.Printable(line))
				}
			})
		})
	cmd.Flags().BoolVar(&cancel, "cancel", false,
		"cancel the running injection, whoever started it, and the retries of a failed one")
	cmd.Args, cmd.ValidArgsFunction = atMostOne, first(offers(offeredSandboxes))
	return cmd
}

// stepLine is what a person reads of an injection's step: nothing of progress
// in bytes, and nothing of the end of one that failed, whose error is printed.
func stepLine(sandbox string, step api.Injection) string {
	switch {
	case step.Error != nil, step.State == "running" && step.Total > 0:
		return ""
	case step.Finished && step.Daemon == nil:
		return "the daemon in " + sandbox + " is healthy"
	case step.Finished:
		return fmt.Sprintf("the daemon in %s is healthy: %s %s", sandbox, step.Daemon.Kind, step.Daemon.Version)
	}
	return fmt.Sprintf("%-8s %-8s %s", step.Step, step.State, step.Detail)
}

func newStop() *cobra.Command {
	cmd := clientCommand("stop [SANDBOX]", "Stop the daemon in a container", ownContainers,
		func(ctx context.Context, r *remote, args []string) error {
			ref, err := r.sandbox(ctx, args)
			if err != nil {
				return err
			}
			if err := r.StopDaemon(ctx, ref); err != nil {
				return err
			}
			return r.changed(ctx, ref, "the daemon of %s is stopped\n")
		})
	cmd.Args, cmd.ValidArgsFunction = atMostOne, first(offers(offeredSandboxes))
	return cmd
}

func newEject() *cobra.Command {
	cmd := clientCommand("eject [SANDBOX]", "Stop the daemon in a container and remove its files", ownContainers,
		func(ctx context.Context, r *remote, args []string) error {
			ref, err := r.sandbox(ctx, args)
			if err != nil {
				return err
			}
			if err := r.Eject(ctx, ref); err != nil {
				return err
			}
			return r.changed(ctx, ref, "the daemon is removed from %s\n")
		})
	cmd.Args, cmd.ValidArgsFunction = atMostOne, first(offers(offeredSandboxes))
	cmd.Long = "eject stops the daemon in a container and removes its binary and its logs. It removes\nthe working " +
		"directory if daemon-proxy created it and it is empty. It keeps a daytona\nthat is part of the image.\n\n" +
		exitCodes
	return cmd
}

// changed prints what was done to a sandbox: its state in JSON, else a sentence.
func (r *remote) changed(ctx context.Context, ref api.Ref, sentence string) error {
	if !r.json {
		_, err := fmt.Fprintf(r.out, sentence, logging.Printable(ref.Long()))
		return err
	}
	box, err := r.Sandbox(ctx, ref)
	if err != nil {
		return err
	}
	return r.document(box)
}

func newPorts() *cobra.Command {
	cmd := clientCommand("ports [SANDBOX]", "List the listening ports of a container", ownContainers,
		func(ctx context.Context, r *remote, args []string) error {
			ref, err := r.sandbox(ctx, args)
			if err != nil {
				return err
			}
			ports, err := r.Ports(ctx, ref)
			if err != nil {
				return err
			}
			if r.json {
				return r.document(api.NewPortList(ref, ports))
			}
			rows := [][]string{{"PORT", "SERVICE", "NAME", "ADDRESS", "REMARKS"}}
			for _, p := range ports {
				rows = append(rows, []string{
					strconv.Itoa(p.Port.Port), orDash(p.Service), orDash(cmp.Or(p.Label, p.Name)), orDash(p.Address),
					strings.Join(append(p.Remarks, compact(p.Warning)...), ", "),
				})
			}
			return r.table(rows...)
		})
	cmd.Args, cmd.ValidArgsFunction = atMostOne, first(offers(offeredSandboxes))
	cmd.Long = "ports lists the listening ports of a container and what answers there. It sends each port\none " +
		"request, as a preview would. unknown means that there was no answer in time, other\nthat the service does " +
		"not speak HTTP.\n\n" + exitCodes
	return cmd
}

// orDash is a cell of a table that is not left empty.
func orDash(s string) string { return cmp.Or(s, "-") }

func newStatus() *cobra.Command {
	cmd := clientCommand("status [SANDBOX]", "Show the state of daemon-proxy and of the daemon", ownNone,
		func(ctx context.Context, r *remote, args []string) error {
			health, err := r.Health(ctx)
			if err != nil {
				return err
			}
			screens, err := r.Screens(ctx)
			if err != nil && !errors.Is(err, &api.Problem{Code: api.CodeUnauthorized}) { // /health needs no key
				return err
			}
			engines, err := r.EngineStates(ctx)
			if err != nil && !errors.Is(err, &api.Problem{Code: api.CodeUnauthorized}) {
				return err
			}
			if r.json && len(args) == 0 {
				return r.document(stateOfCore{health, engines, screens})
			}
			rows := [][]string{{"daemon-proxy", health.Version, health.Status, r.URL()}}
			var ref api.Ref
			if len(args) > 0 {
				ref = api.ParseRef(args[0])
			}
			daemon, err := r.DaemonStatus(ctx, ref)
			if err != nil && ref.Name != "" {
				return err
			}
			if r.json {
				return r.document(daemon)
			}
			if err == nil {
				rows = append(rows,
					[]string{daemon.Sandbox, cmp.Or(daemon.Version, "-"), string(daemon.State), daemon.Kind})
				if p := daemon.LastError; p != nil {
					rows = append(rows, []string{"", "", p.Code, p.Error()})
				}
			}
			if ref.Name == "" {
				for _, e := range engines {
					if len(engines) > 1 {
						rows = append(rows, []string{"engine", e.Name, e.State, orDash(e.Version)})
					}
				}
				for _, s := range screens {
					shows := s.Watching.String()
					if len(engines) > 1 {
						shows = s.Watching.Long()
					}
					rows = append(rows,
						[]string{"screen", s.Name, "since " + s.Since.Local().Format(time.DateTime), orDash(shows)})
				}
			}
			return r.table(rows...)
		})
	cmd.Args, cmd.ValidArgsFunction = atMostOne, first(offers(offeredSandboxes))
	cmd.Long = "status asks the running daemon-proxy for its state; the health check of a container can\nuse it. If " +
		"the daemon is down, the state is \"degraded\" but the exit code is still 0. Without SANDBOX\nit also lists the " +
		"engines, if several are open, and the terminals that are attached, since when, and\nthe sandbox that each of " +
		"them shows.\n\n" + exitCodes
	return cmd
}

// stateOfCore is what status prints as JSON.
type stateOfCore struct {
	api.Health
	Engines []api.EngineStatus `json:"engines,omitempty"`
	Screens []api.ScreenStatus `json:"screens,omitempty"`
}

// atMostOne is cobra.MaximumNArgs(1) with an error that counts as wrong usage.
func atMostOne(cmd *cobra.Command, args []string) error {
	return wrongUsage(cobra.MaximumNArgs(1)(cmd, args))
}

// exactlyOne is cobra.ExactArgs(1) with an error that counts as wrong usage.
func exactlyOne(cmd *cobra.Command, args []string) error {
	return wrongUsage(cobra.ExactArgs(1)(cmd, args))
}

func wrongUsage(err error) error {
	if err != nil {
		return usageError{err}
	}
	return nil
}
